package proxy

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"slices"
	"syscall"

	"ipublish/deploy"
)

// willForm is the form of what one process passes to the next. Another form is
// not taken over: the older one serves on.
const willForm = 1

// willFiles are the two locks' files and the control socket.
const willFiles = 3

// will is what a process tells its successor, besides what the state file says.
// The locks' files and the control socket come with it, the doors after it.
type will struct {
	Form    int               `json:"form"`
	PID     int               `json:"pid"`
	Socket  string            `json:"socket"` // where it answers its successor from now on
	Guarded bool              `json:"guarded,omitempty"`
	Routes  []route           `json:"routes"`
	Doors   int               `json:"doors"`
	Turns   map[string]uint64 `json:"turns,omitempty"`
	Past    map[string]counts `json:"past,omitempty"`
	Elders  []*elder          `json:"elders,omitempty"`
}

// bequest names the route of a door that is passed.
type bequest struct {
	Route string `json:"route"`
}

// word is what the successor says when it serves.
type word struct {
	PID int `json:"pid"`
}

// legacy is a will with what belongs to it; the zero one is nothing.
type legacy struct {
	will
	held    *claimed
	control *net.UnixListener
	doors   map[string]net.Listener
}

// receiveLegacy reads what the process at the other end passes.
func receiveLegacy(conn *net.UnixConn) (legacy, error) {
	l := legacy{held: &claimed{}, doors: map[string]net.Listener{}}
	files, err := receiveFrame(conn, &l.will)
	l.held.files = files
	if err != nil {
		return l, err
	}
	if l.Form != willForm {
		return l, fmt.Errorf("it passes form %d, and this program takes form %d", l.Form, willForm)
	}
	if len(files) != willFiles {
		return l, fmt.Errorf("it passes %d files", len(files))
	}
	last := len(files) - 1
	l.held.files = files[:last]
	if l.control, err = controlOf(files[last]); err != nil {
		return l, err
	}
	for range l.Doors {
		if err := l.receiveDoor(conn); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *legacy) receiveDoor(conn *net.UnixConn) error {
	var b bequest
	files, err := receiveFrame(conn, &b)
	defer closeFiles(files)
	if err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("the door of %s came with %d files", b.Route, len(files))
	}
	listener, err := net.FileListener(files[0])
	if err == nil {
		l.doors[b.Route] = listener
	}
	return err
}

// controlOf makes this process the one that listens at the control socket: so it
// is the one that the kernel names to those who connect.
func controlOf(f *os.File) (*net.UnixListener, error) {
	defer f.Close()
	listener, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	control, ok := listener.(*net.UnixListener)
	if !ok {
		_ = listener.Close() // it is not used
		return nil, fmt.Errorf("the control socket is %s", listener.Addr().Network())
	}
	control.SetUnlinkOnClose(false)
	return control, withDescriptors([]syscall.Conn{control}, func(fds []int) error { return syscall.Listen(fds[0], syscall.SOMAXCONN) })
}

func closeFiles(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // nothing was written
	}
}

// drop closes everything: the process that passed it keeps it open.
func (l legacy) drop() {
	if l.held != nil {
		l.held.release()
	}
	if l.control != nil {
		_ = l.control.Close() // nobody connected through it
	}
	for _, d := range l.doors {
		_ = d.Close() // likewise
	}
}

// checkPlaces makes sure that the locks are those of our own socket and state.
func (l legacy) checkPlaces(o Options) error {
	for i, path := range []string{o.Socket, o.StateFile} {
		ours, err := os.Stat(path + ".lock")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return lockError(path, err)
		}
		theirs, err := l.held.files[i].Stat()
		if err != nil {
			return lockError(path, err)
		}
		if ours == nil || !os.SameFile(ours, theirs) {
			return &deploy.Error{Code: deploy.CodeRefused, Op: "take over", Subject: path,
				Message: "the proxy that runs uses another file than " + path + ": give --socket and --state as it has them"}
		}
	}
	return nil
}

// check makes sure that whoever takes over would serve exactly what is served:
// the same routes, each behind its own door.
func (l legacy) check(routes []route) error {
	if l.Form == 0 {
		return nil
	}
	same := func(a, b route) bool { return a.same(b) && a.Generation == b.Generation }
	if !slices.EqualFunc(byName(l.Routes), byName(routes), same) {
		return &deploy.Error{Code: deploy.CodeDamaged, Op: "take over", Subject: l.Socket,
			Message: "the state file does not say what the running proxy serves, so it was not replaced: deploy once, which writes the file anew, then try again"}
	}
	for _, r := range routes {
		if d := l.doors[r.Name]; d != nil && portOf(d.Addr().String()) != portOf(r.Listen) {
			return &deploy.Error{Code: deploy.CodeInternal, Op: "take over", Subject: r.Name, Message: "the door of " + r.Name + " is " + d.Addr().String() + ", not " + r.Listen}
		}
	}
	return nil
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

func (l legacy) turns() map[string]uint64 {
	if l.Turns == nil {
		return map[string]uint64{}
	}
	return l.Turns
}

// elders are those of the process that passes, and itself.
func (l legacy) elders(logger *slog.Logger) elders {
	e := elders{log: logger, living: l.Elders, past: l.Past}
	if e.past == nil {
		e.past = map[string]counts{}
	}
	if l.Form != 0 {
		e.living = append(e.living, &elder{PID: l.PID, Socket: l.Socket})
	}
	for _, x := range e.living {
		if x.Seen == nil {
			x.Seen = map[string]counts{}
		}
	}
	return e
}
