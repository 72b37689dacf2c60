package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/alecthomas/kong"

	"ipublish/bot"
	"ipublish/cmd/client"
	"ipublish/cmd/config"
	"ipublish/cmd/screen"
	"ipublish/deploy"
)

var errUnreachable = client.ErrUnreachable

// wordsCommand is any command of the grammar: its words go to the server as
// they are, so that chat and command line can never differ.
type wordsCommand struct {
	configFlag
	Server string `help:"The server: unix:/path or http(s)://host:port; default: the socket of the configuration's state_dir." env:"IPUBLISH_SERVER"`
	Token  string `help:"Token for a server over HTTP." env:"IPUBLISH_TOKEN"`
	Detach bool   `help:"Do not wait for the deploy's end."`
	Output string `short:"o" help:"text or json." enum:"text,json" default:"text"`
	Force  string `help:"The reason to pass a guard; needs the role admin."`
	N      *int   `short:"n" help:"How many (history)."`

	Without []string `help:"Hosts to leave as they are (deploy, rollback, plan, restart, drill)." placeholder:"HOST" sep:"none"`

	Words []string `arg:"" optional:"" help:"As in the chat."`
}

// Run sends the words, prints the answer and follows the deploy to its end.
func (w *wordsCommand) Run(ctx context.Context, m *Main, k *kong.Context) error {
	server, err := w.server()
	if err != nil {
		return err
	}
	if err := client.CheckAddress(server); err != nil {
		return err
	}
	c := client.New(server, w.Token)
	verb, _, _ := strings.Cut(k.Command(), " ")
	answer, err := c.Command(ctx, w.text(verb), "cli:"+rand.Text())
	if err != nil {
		return unreachable(err, server)
	}
	follow := answer.Deploy != 0 && answer.Exit == 0 && !w.Detach && follows(verb)
	if w.Output == "json" && !follow {
		return w.finish(m, answer.Exit, json.NewEncoder(m.Stdout).Encode(answer))
	}
	if w.Output == "text" {
		out := m.Stdout
		if answer.Exit != 0 {
			out = m.Stderr
		}
		fmt.Fprintln(out, answer.Text)
	}
	if !follow {
		return w.finish(m, answer.Exit, nil)
	}
	st, err := w.follow(ctx, m, c, answer.Deploy)
	return outcome(ctx, bot.Verb(verb), answer.Deploy, st, err)
}

func follows(verb string) bool {
	switch bot.Verb(verb) {
	case bot.VerbDeploy, bot.VerbRollback, bot.VerbAccept, bot.VerbResume, bot.VerbCancel, bot.VerbAbandon,
		bot.VerbStart, bot.VerbStop, bot.VerbRestart, bot.VerbOffline, bot.VerbOnline, bot.VerbDrill, bot.VerbLock, bot.VerbUnlock, bot.VerbAdopt:
		return true
	}
	return false
}

func unreachable(err error, server string) error {
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "ask", Subject: server, Err: err,
		Message: cmp.Or(messageIn(err), fmt.Sprintf("no server answers at %s: start it with `ipublish serve`, or name another with --server (%s)", server, cause(err)))}
}

// cause is why nobody answers, without saying again that nobody does.
func cause(err error) string {
	return strings.TrimPrefix(err.Error(), errUnreachable.Error()+": ")
}

// messageIn is a message meant for people, where the error has one.
func messageIn(err error) string {
	if de := deploy.AsError(err); de.Message != "" {
		return de.Message
	}
	return ""
}

func (w *wordsCommand) finish(_ *Main, exit int, err error) error {
	if err != nil || exit == 0 {
		return err
	}
	return exitStatus(exit)
}

// text is the line of the grammar.
func (w *wordsCommand) text(verb string) string {
	words := append([]string{verb}, w.Words...)
	if w.Force != "" {
		words = append(words, "--force", w.Force)
	}
	if len(w.Without) > 0 {
		words = append(words, "--without", strings.Join(w.Without, ","))
	}
	if w.N != nil {
		words = append(words, "-n", fmt.Sprint(*w.N))
	}
	return bot.Join(words)
}

// server is where to ask: as given, else the socket in the configured state folder.
func (w *wordsCommand) server() (string, error) {
	if w.Server != "" {
		return w.Server, nil
	}
	state, err := config.StateDir(w.Config)
	if err != nil {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "ask", Message: deploy.MessageOf(err) + " (or name the server with --server)", Err: err}
	}
	return "unix:" + filepath.Clean(layout(state).control()), nil
}

// follow shows the deploy live until it has ended or a person is needed.
func (w *wordsCommand) follow(ctx context.Context, m *Main, c *client.Client, id deploy.ID) (deploy.State, error) {
	stream := func(ctx context.Context, tell func(deploy.Event)) error { return c.Follow(ctx, id, tell) }
	if w.Output == "json" {
		return followJSON(ctx, m.Stdout, stream)
	}
	return screen.New(m.Stdout).Follow(ctx, stream, nil)
}

// outcome is how the command ends whose deploy was followed: nil where it
// brought about what its verb asks for. err is the stream's.
func outcome(ctx context.Context, verb bot.Verb, id deploy.ID, st deploy.State, err error) error {
	switch {
	case st.Ended() && brought(verb, st):
		return nil
	case st.Ended() && st.Err != nil && bot.ExitOf(st.Err.Code) == exitRefused:
		return exitStatus(exitRefused)
	case st.Ended(), st.Phase == deploy.PhaseStuck:
		return exitStatus(exitFailed)
	case ctx.Err() != nil:
		return &deploy.Error{Code: deploy.CodeCancelled, Op: "follow", Subject: id.String(), Err: ctx.Err(), Message: goesOn(id)}
	case errors.Is(err, errUnreachable):
		return &deploy.Error{Code: deploy.CodeUnavailable, Op: "follow", Subject: id.String(), Err: err,
			Message: fmt.Sprintf("the connection was lost and the server does not answer (%s); %s", cause(err), goesOn(id))}
	}
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "follow", Subject: id.String(), Err: err}
}

func goesOn(id deploy.ID) string {
	return fmt.Sprintf("%s goes on without you: `ipublish status`, `ipublish cancel %d`", id, id)
}

// brought reports whether an ending is what a verb asks for.
func brought(verb bot.Verb, st deploy.State) bool {
	switch verb {
	case bot.VerbCancel:
		return st.Ending == deploy.Cancelled || st.Ending == deploy.Reverted || st.Ending == deploy.Failed && st.Cancel != nil
	case bot.VerbRollback:
		wentBack := st.Ending == deploy.Cancelled || st.Ending == deploy.Reverted
		return st.Ending == deploy.Succeeded || wentBack && st.Cancel != nil && st.Why == deploy.RolledBack
	case bot.VerbAbandon:
		return st.Ending == deploy.Abandoned
	}
	return st.Ending == deploy.Succeeded
}

// followJSON prints every event as a line of JSON until the deploy's end, or
// until a person is needed.
func followJSON(ctx context.Context, out io.Writer, stream screen.Stream) (deploy.State, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var st deploy.State
	err := stream(ctx, func(ev deploy.Event) {
		st = st.Apply(ev)
		_ = json.NewEncoder(out).Encode(ev) // a closed pipe ends the program anyway
		if st.Phase == deploy.PhaseStuck && st.Cancel == nil {
			stop()
		}
	})
	return st, err
}
