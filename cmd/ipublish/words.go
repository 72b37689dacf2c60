package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"ipublish/bot"
	"ipublish/cmd/client"
	"ipublish/cmd/config"
	"ipublish/deploy"
)

var errUnreachable = client.ErrUnreachable

// wordsCommand is any command of the grammar: its words go to the server as
// they are, so that chat and command line can never differ.
type wordsCommand struct {
	configFlag
	Server string   `help:"The server: unix:/path or http(s)://host:port; default: the socket of the configuration's state_dir." env:"IPUBLISH_SERVER"`
	Token  string   `help:"Token for a server over HTTP." env:"IPUBLISH_TOKEN"`
	Detach bool     `help:"Do not wait for the deploy's end."`
	Output string   `short:"o" help:"text or json." enum:"text,json" default:"text"`
	Force  string   `help:"The reason to pass a guard; needs the role admin."`
	N      int      `short:"n" help:"How many (history)."`
	Words  []string `arg:"" optional:"" help:"As in the chat."`
}

// Run sends the words, prints the answer and follows the deploy to its end.
func (w *wordsCommand) Run(ctx context.Context, m *Main, k *kong.Context) error {
	server, err := w.server()
	if err != nil {
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
	return w.follow(ctx, m, c, answer.Deploy)
}

func follows(verb string) bool {
	switch bot.Verb(verb) {
	case bot.VerbDeploy, bot.VerbRollback, bot.VerbAccept, bot.VerbResume, bot.VerbCancel, bot.VerbAbandon:
		return true
	}
	return false
}

func unreachable(err error, server string) error {
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "ask", Subject: server, Err: err,
		Message: cmp.Or(messageIn(err), fmt.Sprintf("no server answers at %s: start it with `ipublish serve`, or name another with --server", server))}
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
	if w.N != 0 {
		words = append(words, "-n", fmt.Sprint(w.N))
	}
	return bot.Join(words)
}

// server is where to ask: as given, else the socket in the configured state folder.
func (w *wordsCommand) server() (string, error) {
	if w.Server != "" {
		return w.Server, nil
	}
	cfg, err := config.Load(w.Config, newDrivers(""))
	if err != nil {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "ask", Message: deploy.MessageOf(err) + " (or name the server with --server)", Err: err}
	}
	return "unix:" + filepath.Clean(layout(cfg.StateDir).control()), nil
}

// follow shows the deploy live until it has ended or a person is needed.
func (w *wordsCommand) follow(ctx context.Context, m *Main, c *client.Client, id deploy.ID) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var st deploy.State
	view := newView(m.Stdout, w.Output)
	err := c.Follow(ctx, id, func(ev deploy.Event) {
		st = st.Apply(ev)
		view.show(st, ev)
		if st.Phase == deploy.PhaseStuck && st.Cancel == nil {
			stop()
		}
	})
	view.close(st)
	switch {
	case st.Ended() && st.Ending == deploy.Succeeded:
		return nil
	case st.Ended() && st.Err != nil:
		return exitStatus(max(bot.ExitOf(st.Err.Code), exitFailed))
	case st.Ended(), st.Phase == deploy.PhaseStuck:
		return exitStatus(exitFailed)
	}
	return unreachable(err, id.String())
}

// view shows a deploy: redrawn in place on a terminal, a line an event in a
// pipe, JSON events with -o json.
type view struct {
	out   io.Writer
	live  bool
	json  bool
	drawn int // lines on the screen
	said  string
}

func newView(out io.Writer, format string) *view {
	f, ok := out.(*os.File)
	return &view{out: out, json: format == "json", live: ok && format == "text" && term.IsTerminal(int(f.Fd()))}
}

func (v *view) show(st deploy.State, ev deploy.Event) {
	switch {
	case v.json:
		_ = json.NewEncoder(v.out).Encode(ev) // a closed pipe ends the program anyway
	case v.live:
		v.redraw(bot.RenderText(deploy.Describe(st)))
	default:
		v.line(st, ev)
	}
}

func (v *view) redraw(text string) {
	if v.drawn > 0 {
		fmt.Fprintf(v.out, "\x1b[%dA\x1b[J", v.drawn)
	}
	text = strings.TrimRight(text, "\n")
	fmt.Fprintln(v.out, text)
	v.drawn = strings.Count(text, "\n") + 1
}

// line prints what changed, once.
func (v *view) line(st deploy.State, ev deploy.Event) {
	m := deploy.Describe(st)
	doing := ""
	for _, s := range m.Steps {
		if s.State == "doing" {
			doing = ": " + s.Label
		}
	}
	if text := fmt.Sprintf("%s %s%s", st.ID, m.Status, doing); text != v.said && !st.Ended() {
		v.said = text
		fmt.Fprintf(v.out, "%s %s\n", ev.At.Local().Format(time.TimeOnly), text)
	}
}

// close prints the end where nothing was redrawn.
func (v *view) close(st deploy.State) {
	if !v.live && !v.json && st.N > 0 {
		fmt.Fprint(v.out, bot.RenderText(deploy.Describe(st)))
	}
}
