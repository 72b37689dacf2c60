package bot

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"ipublish/deploy"
)

// Githook verifies and reads one git host's push payloads. It does no I/O and
// may be called by several goroutines at once.
type Githook interface {
	// Parse verifies the delivery over the raw body and reads the one ref that
	// it tells about. Nothing of the body is interpreted before it is verified.
	//
	// deploy.CodeRefused: the signature, token or timestamp is missing or wrong;
	// the server answers 401 with one constant body. deploy.CodeInvalid: the
	// delivery is genuine but malformed. deploy.CodeNotFound: it is genuine and
	// there is nothing to do (a ping, another event); answered 2xx, because git
	// hosts switch off hooks that fail. A deleted ref is no error: see
	// deploy.Push.Deleted.
	Parse(r *http.Request, body []byte) (deploy.Push, error)
}

// Doorkeeper is a Githook or a Chat that judges requests by their headers alone,
// so that nobody's body is read who could not be genuine.
type Doorkeeper interface {
	// Knock refuses (deploy.CodeRefused) only what Parse or Command would refuse
	// with any body: a proof that is missing or malformed or, where the proof
	// does not cover the body, wrong. nil proves nothing. It does no I/O.
	Knock(h http.Header) error
}

// Chat is one chat platform. It may be used by several goroutines at once.
type Chat interface {
	// Command verifies and reads one HTTP request of the platform. It does no
	// I/O. deploy.CodeRefused: not genuine, or a person who may not speak here;
	// deploy.CodeInvalid: genuine but malformed; deploy.CodeNotFound: nothing to
	// do. Then the returned command names the asker if there is one and the
	// request was verified (a picture, another app's command): tell them the
	// error's message. A command without a User (a certificate probe) is answered
	// with Acker.Ack and no text.
	Command(r *http.Request, body []byte) (deploy.Command, error)
	// Listen receives commands over the platform's socket and hands each to
	// handle, which must not block. A driver that has only HTTP blocks until ctx
	// ends. It returns nil when ctx ends.
	Listen(ctx context.Context, handle func(deploy.Command) error) error
	// Post shows m in m.Channel: it edits m.Ref if that is set and the platform
	// can (see Editor), else posts anew, in the thread of m.Thread where there
	// are threads. ref names the message shown for a later edit; it differs from
	// m.Ref if the old one could not be edited any more, and may be empty where
	// nothing can be referred to. It calls the platform once or twice and never
	// waits for a rate limit: then it returns deploy.CodeUnavailable with a
	// *Throttled in its chain. After deploy.CodeUnavailable or CodeTimeout the
	// message may have been shown.
	Post(ctx context.Context, m deploy.Message) (ref string, err error)
}

// Replier is a Chat that can answer so that only the asker sees it, or at
// least where the asker asked.
type Replier interface {
	// Reply answers the command by its handle c.Reply; m.Channel and m.Ref are
	// not looked at. deploy.CodeNotFound if c has no handle or it expired,
	// deploy.CodeRefused if the handle names a foreign server.
	Reply(ctx context.Context, c deploy.Command, m deploy.Message) error
}

// Acker is a Chat whose HTTP requests want an answer in the platform's form.
type Acker interface {
	// Ack writes the whole answer, status 200 included. An empty text says
	// nothing to anybody. shown tells whether the asker will see text; where it
	// is false and text matters, use Replier.
	Ack(w http.ResponseWriter, c deploy.Command, text string) (shown bool)
}

// Editor is a Chat that tells where a message can be edited. A Chat that is no
// Editor edits nowhere.
type Editor interface {
	// Edits reports whether Post with a Ref changes the message in place in
	// this channel; where it does not, every Post is a new message.
	Edits(channel string) bool
}

// Throttled says that the platform asked for fewer calls. Chat drivers put it
// into the Err of a deploy.CodeUnavailable error; find it with errors.As.
type Throttled struct {
	After time.Duration // no call of this kind before it passed; at least one second
}

// Error tells the wait.
func (t *Throttled) Error() string { return fmt.Sprintf("throttled: wait %s", t.After) }
