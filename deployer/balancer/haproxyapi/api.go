package haproxyapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

const (
	answerLimit = 5 * time.Second // one command
	answerGrace = 500 * time.Millisecond
	answerBytes = 16 << 20
)

// ErrUnanswered is in the error of a command that was sent and not answered: it
// may have been carried out, and may be yet.
var ErrUnanswered = errors.New("sent, and not answered")

// API is the Runtime API of one HAProxy process. It holds no connection and may
// be used by several goroutines at once.
type API struct {
	host   deployer.Host
	socket string
}

// Open gives the API behind a stats socket on a host. It does no I/O.
func Open(h deployer.Host, socket string) *API { return &API{host: h, socket: socket} }

// Socket is the path that Open was given.
func (a *API) Socket() string { return a.socket }

// command is the words of one command.
type command []string

func showServers() command { return command{"show", "stat", "-1", "4", "-1"} } // servers only
func showState() command   { return command{"show", "servers", "state"} }

// ask sends commands on one line and returns everything that HAProxy answers,
// which ends with an empty line. HAProxy carries out what it was sent also when
// nobody waits for it, later than what is sent after it: so an answer is waited
// for a moment longer than the caller waits.
func (a *API) ask(ctx context.Context, commands ...command) (string, error) {
	var lines []string
	for _, c := range commands {
		lines = append(lines, strings.Join(c, " "))
	}
	limited, cancel := context.WithTimeout(ctx, answerLimit)
	defer cancel()
	answer, err := a.exchange(limited, strings.Join(lines, ";")+"\n")
	if err == nil {
		return answer, nil
	}
	awaitDue(ctx)
	return "", a.silence(ctx, err)
}

// awaitDue waits for the end of a context whose deadline has passed: a dial that
// keeps the same deadline may be told a moment earlier.
func awaitDue(ctx context.Context) {
	if due, ok := ctx.Deadline(); ok && time.Until(due) <= 0 {
		<-ctx.Done()
	}
}

func (a *API) exchange(ctx context.Context, line string) (string, error) {
	conn, err := a.host.Dial(ctx, "unix", a.socket)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now().Add(answerGrace)) })
	defer stop()
	if _, err := io.WriteString(conn, line); err != nil {
		return "", errors.Join(ErrUnanswered, err)
	}
	answer, err := io.ReadAll(io.LimitReader(conn, answerBytes))
	if err != nil || !strings.HasSuffix(string(answer), "\n") {
		err = errors.Join(ErrUnanswered, err)
	}
	return string(answer), err
}

// silence is the error of a question without an answer.
func (a *API) silence(ctx context.Context, err error) error {
	e := &deploy.Error{Code: deploy.CodeUnavailable, Op: "ask", Subject: "haproxy " + a.socket, Err: err}
	switch {
	case ctx.Err() != nil:
		e.Code, e.Err = deploy.CodeOf(ctx.Err()), errors.Join(ctx.Err(), err)
	case deploy.CodeOf(err) == deploy.CodeRefused:
		e.Code = deploy.CodeRefused
	}
	e.Message = fmt.Sprintf("HAProxy gives no answer on %s: see that it runs, and that haproxy.cfg has a line `stats socket %s level admin` in global", a.socket, a.socket)
	return e
}
