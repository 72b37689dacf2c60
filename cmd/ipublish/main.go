// Command ipublish is a webhook-driven ChatOps deploy bot: one binary with the
// server, the built-in proxy and the command line.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"ipublish/bot"
	"ipublish/deploy"
)

// The exit codes of the command line (SPEC: 0 done, 1 failed or reverted, 2
// usage, 3 refused, 4 server unreachable).
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitRefused     = 3
	exitUnreachable = 4
)

// Main is the program with what it reads and writes, so that tests can run it.
type Main struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	m := &Main{Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr}
	code := m.Run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// commands is the command line as kong reads it.
type commands struct {
	Serve   serveCommand   `cmd:"" help:"Run the server: webhooks, chat, queue, deploys."`
	Demo    demoCommand    `cmd:"" help:"Show the whole of it on this machine, with a sample app."`
	Check   checkCommand   `cmd:"" help:"Prove a configuration: hosts, rights, balancer, front door."`
	Proxy   proxyCommand   `cmd:"" help:"Run the built-in reverse proxy (serve starts it where it is needed)."`
	Version versionCommand `cmd:"" help:"Print the version."`

	Slack    slackCommand    `cmd:"" help:"Set up Slack: the app's manifest to paste, and what remains to do."`
	DingTalk dingtalkCommand `cmd:"" name:"dingtalk" help:"Set up DingTalk, step by step."`
	Worker   workerCommand   `cmd:"" hidden:"" help:"Started by serve."`

	Deploy   wordsCommand `cmd:"" help:"deploy [APP] [REF] [to ENV] [--without HOST] [--force WHY]"`
	Rollback wordsCommand `cmd:"" help:"rollback [APP] [ENV] [to RELEASE] [--without HOST] [--force WHY]"`
	Status   wordsCommand `cmd:"" help:"status [APP] [ENV]"`
	History  wordsCommand `cmd:"" help:"history [APP] [ENV] [-n N]"`
	Plan     wordsCommand `cmd:"" help:"plan [APP] [REF] [to ENV] [--without HOST]: the steps it would take, and what stands in the way"`
	Cancel   wordsCommand `cmd:"" help:"cancel [#ID]"`
	Pause    wordsCommand `cmd:"" help:"pause [#ID]: hold a deploy before its next hosts, or before the switch"`
	Resume   wordsCommand `cmd:"" help:"resume [#ID]: look again and go on with a deploy that is held; end a pause"`
	Abandon  wordsCommand `cmd:"" help:"abandon #ID WHY: end a deploy that is held; what is observed is recorded as live"`
	Start    wordsCommand `cmd:"" help:"start HOST… [APP] [ENV]: start what is live there, check it, put it in traffic"`
	Stop     wordsCommand `cmd:"" help:"stop HOST… [APP] [ENV]: out of traffic, drained and stopped, until start"`
	Restart  wordsCommand `cmd:"" help:"restart [HOST…] [APP] [ENV] [--without HOST]: start the same release anew, host by host"`
	Offline  wordsCommand `cmd:"" help:"offline HOST… [APP] [ENV]: out of traffic, until online"`
	Online   wordsCommand `cmd:"" help:"online HOST… [APP] [ENV]: checked and back in traffic"`
	Drill    wordsCommand `cmd:"" help:"drill [APP] [ENV] [--without HOST]: every host out of traffic and back in, nothing replaced"`
	Lock     wordsCommand `cmd:"" help:"lock [APP] [ENV] WHY [for 2h]: hold every deploy back but a rollback"`
	Unlock   wordsCommand `cmd:"" help:"unlock [APP] [ENV]: end a lock, and the pause after a rollback"`
	Locks    wordsCommand `cmd:"" help:"locks [APP] [ENV]: what is locked or paused"`
	Accept   wordsCommand `cmd:"" help:"accept [APP] [ENV]: take a hand-edited include as the known version"`
	Adopt    wordsCommand `cmd:"" help:"adopt [APP] [ENV]: take over what runs today"`
	Whoami   wordsCommand `cmd:"" help:"Print your id as the configuration takes it."`
	Help     wordsCommand `cmd:"" help:"help [VERB]: the grammar, as in the chat"`
}

// Run runs one command and returns its exit code.
func (m *Main) Run(ctx context.Context, args []string) int {
	var c commands
	exited := -1
	parser, err := kong.New(&c, kong.Name("ipublish"), kong.Description("Silent rolling and blue/green releases, from a push or the chat."),
		kong.Writers(m.Stdout, m.Stderr), kong.Exit(func(code int) { exited = code }), kong.UsageOnError(),
		kong.BindTo(ctx, (*context.Context)(nil)), kong.Bind(m))
	if err != nil {
		fmt.Fprintln(m.Stderr, err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 {
		return exited
	}
	if err != nil {
		fmt.Fprintf(m.Stderr, "ipublish: %v\nTry `ipublish --help`.\n", err)
		return exitUsage
	}
	return m.exit(k.Run())
}

// exit prints an error the way a person reads it, and gives its code.
func (m *Main) exit(err error) int {
	var status exitStatus
	switch {
	case err == nil:
		return exitDone
	case errors.As(err, &status):
		return int(status)
	}
	fmt.Fprintf(m.Stderr, "ipublish: %s\n", deploy.MessageOf(err))
	if errors.Is(err, errUnreachable) {
		return exitUnreachable
	}
	return max(bot.ExitOf(deploy.CodeOf(err)), exitFailed)
}

// exitStatus ends the program with a code after everything was said.
type exitStatus int

// Error implements error.
func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }
