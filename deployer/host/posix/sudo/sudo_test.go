package sudo_test

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/local"
	"ipublish/deployer/host/posix/sudo"
)

// fake puts a sudo on the PATH that looks at nothing but its arguments: script
// sees them without options and has their text in $options. It speaks English
// only if it is asked to, as the real one does.
func fake(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	text := `#!/bin/sh
options=
while :; do case $1 in -u) options="$options -u $2"; shift 2 ;; -*) options="$options $1"; shift ;; *) break ;; esac; done
case "$options " in *' -n '*) ;; *) echo 'sudo: a terminal is required to read the password' >&2; exit 1 ;; esac
case "$options " in *' -k '*) ;; *) exec "$@" ;; esac
[ "$LC_ALL" = C ] || { echo 'sudo: ein Passwort ist notwendig' >&2; exit 1; }
! sh -c ': </dev/tty' 2>/dev/null || { echo 'sudo: has a terminal' >&2; exit 1; }
` + script + "\n"
	if err := os.WriteFile(filepath.Join(dir, "sudo"), []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func plain(t *testing.T, settings string) deployer.Host {
	t.Helper()
	h, err := local.New(json.RawMessage(settings))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

func TestASudoThatLetsEverythingThroughLacksNothing(t *testing.T) {
	fake(t, `case "$options" in *-l*) echo "/usr/bin/$1" ;; *) exec "$@" ;; esac`)
	for _, become := range [][]string{{"sudo", "-n"}, {"sudo", "-n", "-u", "shop"}, {"env", "-u", "NOTHING"}, nil} {
		if lines, err := sudo.Missing(t.Context(), plain(t, ""), become, "nginx", "rm"); lines != nil || err != nil {
			t.Errorf("%v: %q, %v", become, lines, err)
		}
	}
}

func TestTheLinesThatSudoLacksArePrinted(t *testing.T) {
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	shells := strings.Join(slices.Compact([]string{"/bin/sh", sh}), ", ")
	rule := me(t) + " ALL=(root) NOPASSWD: " + shells
	comment := "# who may run a shell may do everything: this makes " + me(t) + " as powerful as root"
	for said, want := range map[string]struct {
		message string
		lines   []string
	}{
		"sudo: a password is required": {"wants a password of " + me(t), []string{comment, rule}},
		"sudo: a terminal is required to read the password; either use the -S option to read from standard input or configure an askpass helper": {"wants a password", []string{comment, rule}},
		"sudo: no tty present and no askpass program specified":                                                                                  {"wants a password", []string{comment, rule}},
		"sudo: interactive authentication is required":                                                                                           {"wants a password", []string{comment, rule}},
		"Sorry, user deploy is not allowed to execute '/usr/bin/sh -c exit' as root on web-1.":                                                   {"does not let " + me(t), []string{comment, rule}},
		"deploy is not in the sudoers file.  This incident will be reported.":                                                                    {"does not let", []string{comment, rule}},
		"Sorry, user deploy may not run sudo on web-1.":                                                                                          {"does not let", []string{comment, rule}},
		"sudo: I'm sorry deploy. I'm afraid I can't do that":                                                                                     {"does not let", []string{comment, rule}},
		"sudo: sorry, you must have a tty to run sudo":                                                                                           {"wants a terminal", []string{comment, "Defaults:" + me(t) + " !requiretty", rule}},
		"sudo: unable to resolve host web-1\nsudo: unknown user shop":                                                                            {"does not work for " + me(t) + ": sudo: unknown user shop", nil},
		"sudo: The \"no new privileges\" flag is set, which prevents sudo from running as root.":                                                 {"no new privileges", nil},
		"": {"it ends without a word", nil},
	} {
		t.Run(said, func(t *testing.T) {
			fake(t, "cat >&2 <<'END'\n"+said+"\nEND\nexit 1")
			lines, err := sudo.Missing(t.Context(), plain(t, ""), []string{"sudo", "-n"})
			if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), want.message) {
				t.Errorf("%v, want %s with %q", err, deploy.CodeInvalid, want.message)
			}
			if !slices.Equal(lines, want.lines) {
				t.Errorf("the lines are\n%q, want\n%q", lines, want.lines)
			}
		})
	}
}

func TestARuleForOneShellIsNotEnoughAndEveryProgramIsNamed(t *testing.T) {
	const refuse = `{ echo "Sorry, user x is not allowed to execute '$*' as shop on web-1." >&2; exit 1; }`
	for name, script := range map[string]string{
		"only sh of the PATH": `[ "$1" = sh ] || ` + refuse + `; exec "$@"`,
		"no rm":               `case "$options $1" in *' -l '*' rm') ` + refuse + ` ;; *-l*) echo "$1" ;; *) exec "$@" ;; esac`,
		"no rm, silently":     `case "$options $1" in *' -l '*' rm') exit 1 ;; *-l*) echo "$1" ;; *) exec "$@" ;; esac`,
	} {
		t.Run(name, func(t *testing.T) {
			fake(t, script)
			rm, err := exec.LookPath("rm")
			if err != nil {
				t.Fatal(err)
			}
			lines, err := sudo.Missing(t.Context(), plain(t, ""), []string{"sudo", "-n", "-u", "shop"}, "rm", "no-such-program")
			if deploy.CodeOf(err) != deploy.CodeInvalid || len(lines) != 2 {
				t.Fatalf("%q, %v", lines, err)
			}
			if rule := lines[1]; !strings.HasPrefix(rule, me(t)+" ALL=(shop) NOPASSWD: ") || !strings.Contains(rule, rm) || strings.Contains(rule, "no-such-program") {
				t.Errorf("the rule is %q", rule)
			}
		})
	}
	fake(t, `case "$options" in *-l*) echo 'sudo: unknown option -l' >&2; exit 1 ;; *) exec "$@" ;; esac`)
	if lines, err := sudo.Missing(t.Context(), plain(t, ""), []string{"sudo"}, "rm"); lines != nil || err != nil {
		t.Errorf("a sudo that cannot be asked: %q, %v", lines, err)
	}
}

func TestTheUserToBecomeIsReadAsSudoReadsIt(t *testing.T) {
	fake(t, "echo 'sudo: a password is required' >&2; exit 1")
	for become, want := range map[string]string{
		"sudo": "root", "sudo -n": "root", "sudo -nH --preserve-env=PATH": "root", "sudo -n --": "root",
		"sudo -nu app": "app", "sudo -uapp -n": "app", "sudo -Hnuapp": "app", "sudo -u app": "app",
		"sudo --user=app": "app", "sudo --user app -n": "app", "sudo -u #1000": "#1000", "sudo -n -u web admin": "",
		"sudo -g app": "", "sudo -nu": "", "sudo -n --chroot=/x": "", "sudo -n --user=": "", "sudo FOO=bar": "", "sudo -n -- nice": "", "sudo -U app": "",
	} {
		lines, err := sudo.Missing(t.Context(), plain(t, ""), strings.Split(become, " "))
		if deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Fatalf("%s: %v", become, err)
		}
		if want == "" {
			if lines != nil || !strings.Contains(deploy.MessageOf(err), "cannot be told from") || !strings.Contains(deploy.MessageOf(err), "[sudo, -n, -u, NAME]") {
				t.Errorf("%s: %q, %v", become, lines, err)
			}
			continue
		}
		if len(lines) != 2 || !strings.Contains(lines[1], " ALL=("+want+") NOPASSWD: ") || !strings.HasSuffix(lines[0], " as powerful as "+want) {
			t.Errorf("%s: %q, %v", become, lines, err)
		}
	}
}

func TestAProgramThatIsNotThereIsNamed(t *testing.T) {
	for _, become := range [][]string{{"no-such-sudo", "-n"}, {"/nowhere/sudo", "-n"}} {
		lines, err := sudo.Missing(t.Context(), plain(t, ""), become)
		if lines != nil || deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), become[0]+" is not on the host") {
			t.Errorf("%q, %v", lines, err)
		}
	}
	lines, err := sudo.Missing(t.Context(), plain(t, ""), []string{"false"})
	if lines != nil || deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "false does not work") {
		t.Errorf("%q, %v", lines, err)
	}
}

// The distribution's sudo, where it is installed, lets root do all and nobody nothing.
func TestTheRealSudoOrItsAbsenceIsTold(t *testing.T) {
	_, missing := exec.LookPath("sudo")
	lines, err := sudo.Missing(t.Context(), plain(t, ""), []string{"sudo", "-n"}, "rm")
	if missing != nil {
		if lines != nil || !strings.Contains(deploy.MessageOf(err), "sudo is not on the host") {
			t.Errorf("without sudo: %q, %v", lines, err)
		}
		return
	}
	if os.Getuid() != 0 {
		if err != nil && (deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), me(t))) {
			t.Errorf("as %s: %q, %v", me(t), lines, err)
		}
		return
	}
	if lines != nil || err != nil {
		t.Errorf("as root: %q, %v", lines, err)
	}
	nobody := plain(t, `{"become": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]}`)
	lines, err = sudo.Missing(t.Context(), nobody, []string{"sudo", "-n"}, "rm")
	if deploy.CodeOf(err) != deploy.CodeInvalid || len(lines) != 2 || !strings.HasPrefix(lines[1], "nobody ALL=(root) NOPASSWD: /bin/sh, ") {
		t.Errorf("as nobody: %q, %v", lines, err)
	}
}

func TestAHostThatCannotBeReachedIsNoMatterOfSudo(t *testing.T) {
	fake(t, `exec "$@"`)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if lines, err := sudo.Missing(ended, plain(t, ""), []string{"sudo", "-n"}); lines != nil || deploy.CodeOf(err) != deploy.CodeCancelled {
		t.Errorf("%q, %v", lines, err)
	}
}

func TestBecomeIsSplitFromTheOtherSettings(t *testing.T) {
	rest, become, err := sudo.Split(json.RawMessage(`{"address": "deploy@web-1", "become": ["sudo", "-n"], "identity": "${KEY}"}`))
	if err != nil || string(rest) != `{"address":"deploy@web-1","identity":"${KEY}"}` || !slices.Equal(become, []string{"sudo", "-n"}) {
		t.Errorf("%s, %q, %v", rest, become, err)
	}
	for settings, want := range map[string]string{"": "{}", `{}`: "{}", `{"address":"x"}`: `{"address":"x"}`} {
		if rest, become, err := sudo.Split(json.RawMessage(settings)); err != nil || become != nil || string(rest) != want {
			t.Errorf("%s: %s, %q, %v", settings, rest, become, err)
		}
	}
	for _, settings := range []string{`[]`, `{"become": "sudo"}`} {
		if _, _, err := sudo.Split(json.RawMessage(settings)); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%s: %v", settings, err)
		}
	}
}
