package proxy

import (
	"encoding/json"
	"errors"
	"net"
	"os"
	"strings"
	"syscall"
	"testing"
)

// socketPair is two ends of a connection.
func socketPair(t *testing.T) (near, far *net.UnixConn) {
	t.Helper()
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]*net.UnixConn{}
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		if err = errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		ends[i] = c.(*net.UnixConn)
		t.Cleanup(func() { _ = c.Close() })
	}
	return ends[0], ends[1]
}

func TestAFrameCarriesItsFilesAndNothingElses(t *testing.T) {
	near, far := socketPair(t)
	here, err := os.Open(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	long := strings.Repeat("x", 1<<20)
	sent := make(chan error, 1)
	go func() {
		sent <- errors.Join(sendFrame(near, "first"), sendFrame(near, long, here, here), sendFrame(near, "last", here), near.Close())
	}()
	for i, want := range []string{"first", long, "last"} {
		var got string
		files, err := receiveFrame(far, &got)
		defer closeFiles(files)
		if err != nil || got != want || len(files) != []int{0, 2, 1}[i] {
			t.Errorf("frame %d: %d bytes, %d files, %v", i, len(got), len(files), err)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := receiveFrame(far, new(json.RawMessage)); err == nil {
		t.Error("a frame came out of nothing")
	}
}
