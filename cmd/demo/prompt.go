package demo

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"strings"

	"ipublish/deploy"
)

const promptText = "ipub> "

// prompt takes commands as a chat would, and tells of pushes as they come.
type prompt struct {
	*show
	in io.Reader
}

// run blocks until the input ends, a person leaves, or ctx ends.
func (p *prompt) run(ctx context.Context) error {
	p.act("Your turn: the shop and its users go on",
		"type /ipub status, /ipub plan, /ipub rollback, /ipub history, help, or exit",
		"in another shell: curl http://"+p.folder.Front+"/",
		"your own release: cd "+quoted(p.folder.work())+", change version.go, git commit -am, git push",
		"")
	lines := p.lines(ctx)
	for {
		p.screen.Ask(promptText)
		select {
		case <-ctx.Done():
			p.screen.Print("")
			return nil
		case hash := <-p.git.pushed:
			p.screen.Print(fmt.Sprintf("\n%.7s was pushed", hash))
			_, err := p.arrived(ctx, hash)
			p.told(ctx, err)
		case line, ok := <-lines:
			if !ok {
				p.screen.Print("")
			}
			if !ok || leaves(line) {
				return nil
			}
			p.told(ctx, p.command(ctx, line))
		}
	}
}

// lines reads the input. A read of a terminal cannot be broken off: the
// goroutine ends with the input, or with the program.
func (p *prompt) lines(ctx context.Context) <-chan string {
	lines := make(chan string)
	go func() {
		defer close(lines)
		in := bufio.NewScanner(p.in)
		for in.Scan() {
			select {
			case lines <- in.Text():
			case <-ctx.Done():
				return
			}
		}
	}()
	return lines
}

func leaves(line string) bool {
	switch strings.ToLower(strings.Trim(line, " /\t\r")) {
	case "exit", "quit", "q", "bye", "ipub exit", "ipub quit":
		return true
	}
	return false
}

// command carries out one line and follows the deploy that it leads to.
func (p *prompt) command(ctx context.Context, line string) error {
	if strings.TrimSpace(line) == "" {
		return nil
	}
	if !p.screen.Moves() {
		p.screen.Print(line)
	}
	before := p.users.tally.now()
	answer, err := p.api.Command(ctx, line, rand.Text())
	if err != nil {
		return err
	}
	p.screen.Print(answer.Text)
	if answer.Deploy == 0 || answer.Exit != 0 {
		return nil
	}
	_, err = p.follow(ctx, answer.Deploy)
	p.screen.Print("users: " + p.users.tally.now().since(before).String())
	return err
}

// told tells what went wrong with one line; the prompt goes on.
func (p *prompt) told(ctx context.Context, err error) {
	if err != nil && ctx.Err() == nil {
		p.screen.Print("✘ " + deploy.MessageOf(err))
	}
}
