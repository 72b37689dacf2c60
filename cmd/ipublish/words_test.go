package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"ipublish/bot"
	"ipublish/cmd/client"
	"ipublish/cmd/config"
	"ipublish/deploy"
)

func TestTheExitCodeSaysWhetherTheVerbGotWhatItAsksFor(t *testing.T) {
	by := &deploy.Actor{}
	ended := func(e deploy.Ending, code deploy.Code, cancelled *deploy.Actor) deploy.State {
		st := deploy.State{Phase: deploy.PhaseEnded, Ending: e, Cancel: cancelled}
		if code != "" {
			st.Err = &deploy.Error{Code: code}
		}
		return st
	}
	for _, c := range []struct {
		verb bot.Verb
		st   deploy.State
		exit int
	}{
		{bot.VerbDeploy, ended(deploy.Succeeded, "", nil), exitDone},
		{bot.VerbDeploy, ended(deploy.Reverted, deploy.CodeUnhealthy, nil), exitFailed},
		{bot.VerbDeploy, ended(deploy.Failed, deploy.CodeNotFound, nil), exitFailed},
		{bot.VerbDeploy, ended(deploy.Failed, deploy.CodeInvalid, nil), exitFailed},
		{bot.VerbDeploy, ended(deploy.Failed, deploy.CodeForeign, nil), exitRefused},
		{bot.VerbDeploy, ended(deploy.Failed, deploy.CodeDrift, nil), exitRefused},
		{bot.VerbRollback, ended(deploy.Failed, deploy.CodeRefused, nil), exitRefused},
		{bot.VerbDeploy, ended(deploy.Cancelled, "", by), exitFailed},
		{bot.VerbDeploy, ended(deploy.Superseded, "", nil), exitFailed},
		{bot.VerbCancel, ended(deploy.Cancelled, "", by), exitDone},
		{bot.VerbCancel, ended(deploy.Reverted, deploy.CodeCancelled, by), exitDone},
		{bot.VerbCancel, ended(deploy.Failed, deploy.CodeCancelled, by), exitDone},
		{bot.VerbCancel, ended(deploy.Failed, deploy.CodeUnhealthy, nil), exitFailed},
		{bot.VerbCancel, ended(deploy.Succeeded, "", by), exitFailed},
		{bot.VerbAbandon, ended(deploy.Abandoned, "", nil), exitDone},
		{bot.VerbDeploy, ended(deploy.Abandoned, "", nil), exitFailed},
		{bot.VerbDeploy, deploy.State{Phase: deploy.PhaseStuck}, exitFailed},
		{bot.VerbLock, ended(deploy.Succeeded, "", nil), exitDone},
		{bot.VerbLock, ended(deploy.Rejected, deploy.CodeRefused, nil), exitRefused},
		{bot.VerbUnlock, ended(deploy.Succeeded, "", nil), exitDone},
		{bot.VerbUnlock, ended(deploy.Rejected, deploy.CodeRefused, nil), exitRefused},
		{bot.VerbAdopt, ended(deploy.Succeeded, "", nil), exitDone},
		{bot.VerbAdopt, ended(deploy.Failed, deploy.CodeForeign, nil), exitRefused},
		{bot.VerbAdopt, ended(deploy.Failed, deploy.CodeUnhealthy, nil), exitFailed},
	} {
		m := &Main{Stderr: &strings.Builder{}}
		if got := m.exit(outcome(t.Context(), c.verb, 7, c.st, nil)); got != c.exit {
			t.Errorf("%s that ended %s (%v) exits %d, want %d", c.verb, c.st.Ending, c.st.Err, got, c.exit)
		}
	}
}

func TestWhoStopsFollowingIsToldThatTheDeployGoesOn(t *testing.T) {
	stopped, stop := context.WithCancel(t.Context())
	stop()
	lost := fmt.Errorf("%w: refused", client.ErrUnreachable)
	for _, c := range []struct {
		ctx  context.Context
		err  error
		exit int
	}{{stopped, errors.New("the stream ended"), exitFailed}, {t.Context(), lost, exitUnreachable}} {
		said := &strings.Builder{}
		code := (&Main{Stderr: said}).exit(outcome(c.ctx, bot.VerbDeploy, 7, deploy.State{}, c.err))
		if code != c.exit || !strings.Contains(said.String(), "#7 goes on without you") || strings.Contains(said.String(), "no server answers") {
			t.Errorf("%v exits %d: %s", c.err, code, said)
		}
	}
}

func TestAServerWithoutASchemeIsAUsageError(t *testing.T) {
	said := &strings.Builder{}
	code := (&Main{Stdout: said, Stderr: said}).Run(t.Context(), []string{"status", "--server", "127.0.0.1:8090"})
	if code != exitUsage || !strings.Contains(said.String(), "write http://host:port, https://… or unix:/path") {
		t.Errorf("exit %d: %s", code, said)
	}
}

func TestAProgramIsCalledByItsNameOnlyWhereThatFindsIt(t *testing.T) {
	dir, other := t.TempDir(), t.TempDir()
	for _, d := range []string{dir, other} {
		if err := os.WriteFile(filepath.Join(d, "ipublish"), []byte("#!/bin/sh\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	self := filepath.Join(dir, "ipublish")
	for path, want := range map[string]string{dir: "ipublish", other: "./bin/ipublish", t.TempDir(): "./bin/ipublish"} {
		t.Setenv("PATH", path)
		if got := typed(self, "./bin/ipublish"); got != want {
			t.Errorf("with %s on the PATH it is %q, want %q", path, got, want)
		}
	}
}

func TestWhatAReloadCannotChangeIsNamed(t *testing.T) {
	old := &config.Config{Listen: "127.0.0.1:8090", StateDir: "/a", Slack: &config.Slack{BotToken: "x"}}
	if got := untilRestart(old, &config.Config{Listen: "127.0.0.1:8090", StateDir: "/a", Slack: &config.Slack{BotToken: "x"}}); len(got) > 0 {
		t.Errorf("nothing changed, and %v is named", got)
	}
	got := untilRestart(old, &config.Config{Listen: "127.0.0.1:9090", StateDir: "/b", Slack: &config.Slack{BotToken: "y"}, DingTalk: &config.DingTalk{}})
	if want := []string{"chat.dingtalk", "chat.slack", "server.listen", "server.state_dir"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// Every verb of the grammar is a command of the machine; those that leave a
// deploy behind are followed to its end, unless it is to wait.
func TestEveryVerbIsACommandAndWhatChangesIsFollowed(t *testing.T) {
	help := &strings.Builder{}
	if code := (&Main{Stdout: help, Stderr: help}).Run(t.Context(), []string{"--help"}); code != exitDone {
		t.Fatalf("--help exits %d", code)
	}
	asking := []bot.Verb{bot.VerbStatus, bot.VerbHistory, bot.VerbPlan, bot.VerbLocks, bot.VerbWhoami, bot.VerbHelp, bot.VerbPause}
	for _, v := range bot.Verbs() {
		if !regexp.MustCompile(`(?m)^  ` + string(v) + `\b`).MatchString(help.String()) {
			t.Errorf("ipublish %s is no command", v)
		}
		if follows(string(v)) == slices.Contains(asking, v) {
			t.Errorf("%s is followed: %v", v, follows(string(v)))
		}
	}
}

func TestALocksReasonIsReadAsItWasTyped(t *testing.T) {
	scope := bot.Scope{Apps: []deploy.App{{Name: "shop", Environments: []deploy.Environment{{Name: "production"}}}}}
	for want, words := range map[string][]string{
		"database migration":       {"shop", "production", "database migration", "for", "2h"},
		"migration running":        {"shop/production", "migration", "running", "for", "2h"},
		`the "new" disk \ is full`: {`the "new" disk \ is full`, "for", "2h"},
	} {
		w := wordsCommand{Words: words}
		p, err := bot.Parse(w.text("lock"), scope)
		if err != nil || p.Reason != want || p.For.String() != "2h0m0s" || p.Target().String() != "shop/production" {
			t.Errorf("%q reads as %+v, %v", words, p, err)
		}
	}
}

func TestHostsThatAreLeftOutReachTheGrammarHoweverTheyAreWritten(t *testing.T) {
	env := deploy.Environment{Name: "production", Rolling: &deploy.Rolling{}, Hosts: []deploy.Host{{ID: "web-1"}, {ID: "web-2"}, {ID: "web-3"}}}
	scope := bot.Scope{Apps: []deploy.App{{Name: "shop", Environments: []deploy.Environment{env}}}}
	var c commands
	for _, args := range [][]string{{"--without", "web-1,web-3"}, {"--without=web-1", "--without", "WEB-3"}, {"--without", "web-1", "production", "--without", "web-3"}} {
		parser, err := kong.New(&c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parser.Parse(append([]string{"restart"}, args...)); err != nil {
			t.Fatal(err)
		}
		p, err := bot.Parse(c.Restart.text("restart"), scope)
		if err != nil || !slices.Equal(p.Without, []deploy.HostID{"web-1", "web-3"}) {
			t.Errorf("%q reads as %+v, %v", args, p, err)
		}
		c = commands{}
	}
}

func TestAListOfHostsThatABlankCutsInTwoIsRefusedAndNotHalfRead(t *testing.T) {
	var c struct {
		Deploy wordsCommand `cmd:""`
	}
	parser, err := kong.New(&c)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"deploy", "--without", "web-3,", "web-4", "shop", "to", "production"}); err != nil {
		t.Fatal(err)
	}
	env := deploy.Environment{Name: "production", Rolling: &deploy.Rolling{}, Hosts: []deploy.Host{{ID: "web-3"}, {ID: "web-4"}}}
	p, err := bot.Parse(c.Deploy.text("deploy"), bot.Scope{Apps: []deploy.App{{Name: "shop", Environments: []deploy.Environment{env}}}})
	if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), "a host is missing") {
		t.Errorf("%+v %v", p, err)
	}
}
