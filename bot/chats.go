package bot

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Run works on slow answers and holds the chats' sockets open; it blocks until
// ctx ends and for at most five seconds more, in which it gives the answers that
// are due then, and has joined everything when it returns. A socket that breaks
// is opened again.
func (s *Server) Run(ctx context.Context) error {
	answers, end := context.WithCancel(context.WithoutCancel(ctx))
	g, ctx := errgroup.WithContext(ctx)
	var clock sync.WaitGroup
	defer clock.Wait()
	defer end()
	clock.Go(func() {
		<-ctx.Done()
		sleep(answers, lastAnswers)
		end()
	})
	for range maxWorkers {
		g.Go(func() error { return s.work(ctx, answers) })
	}
	for name, c := range s.Chats {
		g.Go(func() error { return s.listen(ctx, name, c) })
	}
	err := g.Wait()
	s.drain(answers)
	return err
}

// drain works on what waited when everything else had ended: those commands were
// acknowledged. What is left when ctx ends is logged.
func (s *Server) drain(ctx context.Context) {
	var workers sync.WaitGroup
	for range maxWorkers {
		workers.Go(func() {
			for more := true; more && ctx.Err() == nil; {
				more = s.workOnce(ctx)
			}
		})
	}
	workers.Wait()
	if n := len(s.later); n > 0 {
		s.Log.Warn("answers were dropped: ipublish stops; what their commands changed stands in the journal", "answers", n)
	}
}

// workOnce does one piece of work that waits; false if there is none.
func (s *Server) workOnce(ctx context.Context) bool {
	select {
	case do := <-s.later:
		s.guarded(ctx, do)
		return true
	default:
		return false
	}
}

// work takes up answers until ctx ends; answers is what they are worked on with.
func (s *Server) work(ctx, answers context.Context) error {
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case do := <-s.later:
			s.guarded(answers, do)
		}
	}
	return nil
}

// guarded bounds slow work in time and survives its panic.
func (s *Server) guarded(ctx context.Context, do func(context.Context)) {
	ctx, cancel := context.WithTimeout(ctx, slowAnswer)
	defer cancel()
	defer func() {
		if v := recover(); v != nil {
			s.Log.Error("panic in a slow answer", "panic", v, "stack", stack())
		}
	}()
	do(ctx)
}

// listen keeps one chat's socket open until ctx ends.
func (s *Server) listen(ctx context.Context, name string, c Chat) error {
	var pause backoff
	for ctx.Err() == nil {
		opened := time.Now()
		err := c.Listen(ctx, func(cmd deploy.Command) error { return s.fromSocket(ctx, name, c, cmd) })
		if ctx.Err() != nil {
			return nil
		}
		if time.Since(opened) > time.Minute {
			pause = backoff{}
		}
		wait := pause.next(maxPause)
		s.Log.Warn("a chat's socket closed and is opened again", "chat", name, "in", wait, "err", err)
		sleep(ctx, wait)
	}
	return nil
}

// fromSocket carries a command out before the platform's frame is acknowledged;
// the answer follows on its own. An error leaves the frame unacknowledged: a
// platform that delivers it again gets the same deploy.
func (s *Server) fromSocket(ctx context.Context, name string, c Chat, cmd deploy.Command) (err error) {
	defer func() {
		if v := recover(); v != nil {
			s.Log.Error("panic in a command of a socket", "chat", name, "panic", v, "stack", stack())
			err = &deploy.Error{Code: deploy.CodeInternal, Op: "take command", Message: "internal error"}
		}
	}()
	if !genuine(name, cmd) {
		return nil
	}
	a := s.Handler.Handle(ctx, cmd)
	s.note(cmd, a)
	s.reply(c, cmd, a)
	switch a.Code {
	case deploy.CodeUnavailable, deploy.CodeInternal, deploy.CodeCancelled, deploy.CodeTimeout:
		return &deploy.Error{Code: a.Code, Op: "take command", Message: a.Text}
	}
	return nil
}

// genuine reports whether the driver vouches for the person as one of its own.
func genuine(chat string, cmd deploy.Command) bool {
	id, ok := strings.CutPrefix(cmd.User.ID, chat+":")
	return ok && id != ""
}

// chat receives a command of a chat by HTTP.
func (s *Server) chat(name string, c Chat) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := knock(c, r); err != nil {
			s.chatRefusal(w, name, c, deploy.Command{}, err)
			return
		}
		mine := s.gate(r, s.chats)
		raw, release := s.body(w, r, mine, maxSmallBody)
		if release == nil {
			return
		}
		defer release()
		turn := mine.turn(r.Context())
		if turn == nil {
			busy(w)
			return
		}
		defer turn()
		cmd, err := c.Command(r, raw)
		if err == nil && !genuine(name, cmd) {
			err = refused("the sender is not one of %s", name)
		}
		if err != nil {
			s.chatRefusal(w, name, c, cmd, err)
			return
		}
		a := s.Handler.Handle(r.Context(), cmd)
		s.note(cmd, a)
		s.acknowledge(w, c, cmd, a)
	}
}

func (s *Server) chatRefusal(w http.ResponseWriter, name string, c Chat, cmd deploy.Command, err error) {
	s.Log.Log(context.Background(), refusalLevel(err), "a message was not taken", "chat", name, "err", err)
	switch deploy.CodeOf(err) {
	case deploy.CodeNotFound:
		s.acknowledge(w, c, cmd, nothingToDo(name, cmd, err))
	case deploy.CodeRefused:
		unauthorised(w)
	default:
		http.Error(w, "malformed", http.StatusBadRequest)
	}
}

// nothingToDo tells a verified asker why nothing was done, so that nobody waits
// for an answer; a probe that nobody asked for is told nothing.
func nothingToDo(chat string, cmd deploy.Command, err error) Answer {
	if !genuine(chat, cmd) {
		return Answer{}
	}
	return Answer{Text: hostile.Block(deploy.MessageOf(err), maxBlock), Code: deploy.CodeNotFound}
}

func (s *Server) acknowledge(w http.ResponseWriter, c Chat, cmd deploy.Command, a Answer) {
	shown := ack(w, c, cmd, s.languages.of(s.Config(), cmd.Chat).Text(a.Text))
	switch {
	case !shown && (a.Text != "" || a.Later != nil):
		s.reply(c, cmd, a)
	case a.Later != nil:
		s.reply(c, cmd, Answer{Later: a.Later})
	}
}

func ack(w http.ResponseWriter, c Chat, cmd deploy.Command, text string) (shown bool) {
	if a, ok := c.(Acker); ok {
		return a.Ack(w, cmd, text)
	}
	w.WriteHeader(http.StatusOK)
	return false
}

// reply hands an answer to the workers. When they have too much to do already
// it is dropped and logged: what the command changed stands in the journal.
func (s *Server) reply(c Chat, cmd deploy.Command, a Answer) {
	job := func(ctx context.Context) {
		s.say(ctx, c, cmd, a.Text)
		if a.Later != nil {
			s.say(ctx, c, cmd, a.Later(ctx).Text)
		}
	}
	select {
	case s.later <- job:
	default:
		s.Log.Warn("an answer was dropped: too many are waiting", "chat", cmd.Chat)
	}
}

// say answers in the chat's language, where only the asker sees it, else where
// the asker asked.
func (s *Server) say(ctx context.Context, c Chat, cmd deploy.Command, text string) {
	if text == "" {
		return
	}
	m := s.languages.of(s.Config(), cmd.Chat).Message(textMessage(cmd, text))
	err := error(&deploy.Error{Code: deploy.CodeNotFound, Message: "this chat cannot answer privately"})
	if r, ok := c.(Replier); ok {
		err = r.Reply(ctx, cmd, m)
	}
	if deploy.CodeOf(err) == deploy.CodeNotFound && m.Channel != "" {
		_, err = c.Post(ctx, m)
	}
	if err != nil {
		s.Log.Warn("an answer could not be sent", "chat", cmd.Chat, "err", err)
	}
}

func textMessage(cmd deploy.Command, text string) deploy.Message {
	return deploy.Message{Channel: cmd.Channel, Thread: cmd.Thread, Lines: strings.Split(text, "\n"), Final: true}
}

func (s *Server) note(cmd deploy.Command, a Answer) {
	args := []any{"by", cmd.User.ID, "channel", cmd.Channel, "verb", string(a.Verb)}
	if a.Deploy != 0 {
		args = append(args, "deploy", a.Deploy.String())
	}
	s.Log.Info("command", append(args, "code", string(a.Code))...)
}
