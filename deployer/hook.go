package deployer

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
)

// hookScript runs one program of the user's: $1 the slot's folder, $2 the
// hook's name, $3 the folder to run in, then argv; the environment comes as
// shell text on standard input and is proven whole by its last line. A run
// whose caller was lost may still be under way: it is waited for, never joined;
// of those that wait only the newest goes on. Exit status 75: nothing was run,
// call again; 126: the script itself could not; 127: there is no such program.
const hookScript = `
env=$(cat)
case $env in *'# end of env') ;; *) echo 'the connection broke before the program began' >&2; exit 75 ;; esac
home=$1 name=$2 dir=$3
shift 3
born() { [ -r "/proc/$1/stat" ] && sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }
me="$$ $(born $$)" mark=$home/hook-$name turn=$home/hook-$name.turn
{ [ -d "$home" ] || (umask 027; mkdir -p -- "$home"); } &&
printf '%s\n' "$me" >"$turn.$$" && mv -f -- "$turn.$$" "$turn" || exit 126
mine() { IFS= read -r now <"$turn" && [ "$now" = "$me" ] || { echo 'a newer call took over' >&2; exit 75; }; }
while mine; ! (set -C; printf '%s\n' "$me" >"$mark") 2>/dev/null; do
  pid= start=
  [ ! -s "$mark" ] || read -r pid start <"$mark" || exit 126
  if [ -n "$pid" ] && [ "$(born "$pid")" = "$start" ]; then
    sleep 0.2 2>/dev/null || sleep 1
  else
    rm -f -- "$mark" || exit 126
  fi
done
mine
cd -- "$dir" 2>/dev/null || { echo "there is no folder $dir" >&2; exit 127; }
eval "$env"
case $1 in
*/*) [ -f "$1" ] && [ -x "$1" ] || { echo "$1 is not a program in $dir" >&2; exit 127; } ;;
*) command -v "$1" >/dev/null || { echo "$1 is not a program on the PATH" >&2; exit 127; } ;;
esac
exec "$@" </dev/null >&2
`

// The exit statuses of hookScript that are not the program's.
const (
	exitAgain     = 75
	exitScript    = 126
	exitNoProgram = 127
)

// hook runs the user's program to its end, on every host of the step at once.
func (x *effects) hook(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	within, cancel := context.WithTimeout(ctx, s.Hold.D())
	defer cancel()
	err := x.runHook(within, s)
	if err != nil && ctx.Err() == nil && within.Err() != nil {
		err = &deploy.Error{Code: deploy.CodeFailed, Op: s.Hook, Subject: s.Subject(), Err: err, Log: logOf(err),
			Message: fmt.Sprintf("the hook %s did not end within %s: raise hooks.%s.timeout, or make it quicker", s.Hook, s.Hold, s.Hook)}
	}
	return x.tolerated(s, err)
}

// tolerated turns what must not hold a deploy into a note: an older release
// lacks a program that came after it, and on the way back a broken release need
// not tell that it is idle.
func (x *effects) tolerated(s deploy.Step, err error) (deploy.Evidence, error) {
	leaves := s.Hook == "on_idle" || s.Hook == "idle"
	switch {
	case err == nil:
		return deploy.Evidence{}, nil
	case leaves && exitStatus(err) == exitNoProgram:
		return deploy.Evidence{Note: fmt.Sprintf("%s of %s was left out: that release has no such program", s.Hook, s.Release.Commit.Short())}, nil
	case leaves && x.drive.st.Undo != nil && deploy.CodeOf(err) == deploy.CodeFailed:
		return deploy.Evidence{Note: fmt.Sprintf("%s of %s did not end well: %s", s.Hook, s.Release.Commit.Short(), deploy.MessageOf(err))}, nil
	}
	return deploy.Evidence{}, err
}

func (x *effects) runHook(ctx context.Context, s deploy.Step) error {
	return x.onHookHosts(ctx, s, func(ctx context.Context, h Host) error {
		again := x.patiently
		if s.Hook == "migrate" {
			again = retry // a second one must not begin elsewhere
		}
		return again(ctx, func(ctx context.Context) error { return x.hookOn(ctx, h, s) })
	})
}

// idle asks the user's program until it says on every host that there is no
// background work, or the step's time is over, which is recorded.
func (x *effects) idle(ctx context.Context, s deploy.Step) (deploy.Evidence, error) {
	over, cancel := context.WithTimeout(ctx, s.Hold.D())
	defer cancel()
	for pause := time.Second; ; pause = min(2*pause, 15*time.Second) {
		err := x.runHook(over, s)
		switch {
		case err == nil:
			return deploy.Evidence{}, nil
		case ctx.Err() != nil:
			return deploy.Evidence{}, ctx.Err()
		case over.Err() == nil && !busy(err):
			return x.tolerated(s, err)
		case !wait(over, pause):
			return deploy.Evidence{TimedOut: ctx.Err() == nil}, ctx.Err()
		}
	}
}

// busy reports whether the program ran and said that there is work.
func busy(err error) bool { status := exitStatus(err); return status > 0 && status < exitScript }

// exitStatus is that of the program or the script, 0 where none is told.
func exitStatus(err error) int {
	var exit *ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 0
}

// onHookHosts does work where the step's hook runs.
func (x *effects) onHookHosts(ctx context.Context, s deploy.Step, do func(context.Context, Host) error) error {
	if s.On == deploy.OnBot {
		h, err := x.engine.Drivers.Host(botHost())
		if err != nil {
			return err
		}
		return do(ctx, h)
	}
	hosts, err := hookHosts(s)
	if err != nil {
		return err
	}
	_, err = eachHost(ctx, hosts, func(ctx context.Context, id deploy.HostID) (struct{}, error) {
		h, err := x.host(id)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, do(ctx, h)
	})
	return err
}

// hookHosts are those of the step's hosts on which the program runs. A migration
// that runs nowhere is not one that was made.
func hookHosts(s deploy.Step) ([]deploy.HostID, error) {
	switch {
	case s.Hook == "migrate" && len(s.Hosts) == 0:
		return nil, &deploy.Error{Code: deploy.CodeFailed, Op: s.Hook, Message: "no host is left to run migrate on: mend one, then deploy again"}
	case s.On == deploy.OnFirstHost && len(s.Hosts) > 1:
		return s.Hosts[:1], nil
	}
	return s.Hosts, nil
}

// botHost is the bot's own machine.
func botHost() deploy.Host {
	return deploy.Host{ID: "local", Address: "127.0.0.1", Driver: deploy.Section{Driver: "local"}}
}

func (x *effects) hookOn(ctx context.Context, h Host, s deploy.Step) error {
	env, dir, home, err := x.hookPlace(ctx, h, s)
	if err != nil {
		return err
	}
	_, err = h.Run(ctx, script(hookScript, append([]string{home, s.Hook, dir}, filled(s)...)...), strings.NewReader(shellText(env)))
	return hookFault(s, err)
}

func hookFault(s deploy.Step, err error) error {
	var exit *ExitError
	if !errors.As(err, &exit) {
		return err
	}
	out := &deploy.Error{Code: deploy.CodeFailed, Op: s.Hook, Subject: s.Subject(), Err: err, Log: strings.TrimSpace(exit.Stderr)}
	switch {
	case exit.Code == exitAgain:
		out.Code, out.Message = deploy.CodeUnavailable, fmt.Sprintf("the hook %s was not run", s.Hook)
	case exit.Code == exitScript:
		out.Message = fmt.Sprintf("the hook %s could not be run: the slot's folder %s cannot be written", s.Hook, s.Home)
	case exit.Code < 0:
		out.Message = fmt.Sprintf("the hook %s (%s) was ended by a signal", s.Hook, s.Run[0])
	default:
		out.Message = fmt.Sprintf("the hook %s (%s) ended with exit status %d", s.Hook, s.Run[0], exit.Code)
	}
	return out
}

// hookPlace is what the program finds around it: beside the bot there is no
// release and no env_file.
func (x *effects) hookPlace(ctx context.Context, h Host, s deploy.Step) (env map[string]string, dir, home string, err error) {
	dir, home = s.Dir, s.Home
	if s.On == deploy.OnBot {
		dir, home = "/", x.engine.BotDir+s.Home
		env, err = x.engine.Drivers.Resolve(x.settings.Env)
		env = maps.Clone(env)
	} else {
		env, err = x.environment(ctx, h, s)
	}
	if err != nil {
		return nil, "", "", err
	}
	if env == nil {
		env = map[string]string{}
	}
	env["PORT"], env["RELEASE"], env["SLOT"] = strconv.Itoa(s.Port), s.Release.Commit.SHA, string(s.Slot)
	env["APP"], env["ENVIRONMENT"] = x.target.App, x.target.Env
	return env, dir, home, nil
}

// filled is the step's argv with its placeholders replaced.
func filled(s deploy.Step) []string {
	r := s.Replacer()
	out := make([]string, len(s.Run))
	for i, word := range s.Run {
		out[i] = r.Replace(word)
	}
	return out
}

// shellText sets an environment and does nothing else.
func shellText(env map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&b, "export %s='%s'\n", name, strings.ReplaceAll(env[name], "'", `'\''`))
	}
	b.WriteString("# end of env\n")
	return b.String()
}

// saidBy is what a program said on its way out.
func saidBy(err error) string {
	var exit *ExitError
	if errors.As(err, &exit) && strings.TrimSpace(exit.Stderr) != "" {
		return strings.TrimSpace(exit.Stderr)
	}
	return deploy.MessageOf(err)
}
