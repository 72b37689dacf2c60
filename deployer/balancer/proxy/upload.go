package proxy

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"sync/atomic"
)

// heldBody is up to which length a request's body is read whole before the
// request is sent: it then leaves in one write with its head, and can be sent
// anew over another connection as long as nothing was sent.
const heldBody = 16 << 10

var errUsed = errors.New("the connection broke after the request's body was used")

// upload is the request's body on its way to a backend: held when it is short,
// else streamed.
type upload struct {
	io.ReadCloser        // as the client sends it; nil: there is none
	held          []byte // all of it; nil: streamed
	pace          pace
	read          atomic.Bool // something was asked of the stream
	broken        atomic.Bool // the client ended it early
	late          atomic.Bool // the client did not go on with it
}

// mayHold reports whether the request's body is short, and its client is not
// waiting for the application's word before it sends it.
func mayHold(r *http.Request) bool {
	return r.ContentLength > 0 && r.ContentLength <= heldBody && r.Header["Expect"] == nil
}

// take makes the request's body the upload's. It blocks until a short one has
// arrived; its error is the client's doing.
func (u *upload) take(out *http.Request, p pacer) error {
	if out.Body == nil {
		return nil
	}
	u.ReadCloser = out.Body
	u.pace.pacer = p
	if !mayHold(out) {
		return nil
	}
	held := make([]byte, out.ContentLength)
	u.pace.begin()
	_, err := io.ReadFull(out.Body, held)
	if err != nil {
		return u.fail(err)
	}
	u.pace.whole()
	u.held = held
	return nil
}

// fail notes that the body did not come whole, which is the client's doing.
func (u *upload) fail(err error) error {
	u.broken.Store(true)
	u.late.Store(errors.Is(err, os.ErrDeadlineExceeded))
	return err
}

// attach gives the body to one attempt. The transport may open it again for
// another connection when the first turned out to be closed before a byte was
// sent, whatever the method; it waits for its writer to end first.
func (u *upload) attach(out *http.Request) (err error) {
	if u.ReadCloser == nil {
		return nil
	}
	out.GetBody = u.open
	out.Body, err = u.open()
	return err
}

func (u *upload) open() (io.ReadCloser, error) {
	switch {
	case u.held != nil:
		return io.NopCloser(bytes.NewReader(u.held)), nil
	case u.read.Load():
		return nil, errUsed
	}
	return u, nil
}

// unfinished reports whether the client has still to send some of it.
func (u *upload) unfinished() bool { return u.ReadCloser != nil && !u.pace.complete() }

// unused reports whether the whole body can still be sent.
func (u *upload) unused() bool { return u.held != nil || !u.read.Load() }

// Read reads what the client sends.
func (u *upload) Read(p []byte) (int, error) {
	u.read.Store(true)
	u.pace.begin()
	n, err := u.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, io.EOF):
		u.pace.whole()
	default:
		err = u.fail(err)
	}
	return n, err
}

// Close does nothing: the server closes the body when the request has ended, and
// until then another attempt may need it.
func (u *upload) Close() error { return nil }
