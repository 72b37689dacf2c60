package proxy

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
)

// maxFrame bounds what one process tells the other at once.
const maxFrame = 16 << 20

// frame is how two processes pass open files and what there is to say of them:
// four bytes of length, JSON of that length, and with the first byte the files.
// It is read to the byte, so that no file is lost in a read ahead.

// sendFrame sends a value and the open files that belong to it.
func sendFrame(conn *net.UnixConn, value any, files ...syscall.Conn) error {
	data, err := json.Marshal(value)
	if err != nil {
		return err
	}
	data = append(binary.BigEndian.AppendUint32(nil, uint32(len(data))), data...)
	return withDescriptors(files, func(fds []int) error {
		var rights []byte
		if len(fds) > 0 {
			rights = syscall.UnixRights(fds...)
		}
		n, _, err := conn.WriteMsgUnix(data, rights, nil)
		if err == nil && n < len(data) {
			_, err = conn.Write(data[n:])
		}
		return err
	})
}

// withDescriptors keeps the files open while use has their descriptors. Their
// modes stay: a listener that was made to block could not be closed any more.
func withDescriptors(files []syscall.Conn, use func([]int) error) error {
	if len(files) == 0 {
		return use(nil)
	}
	raw, err := files[0].SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	err = raw.Control(func(fd uintptr) {
		inner = withDescriptors(files[1:], func(rest []int) error { return use(append([]int{int(fd)}, rest...)) })
	})
	return errors.Join(err, inner)
}

// receiveFrame reads a value and the open files that came with it, which the
// caller closes, also after an error.
func receiveFrame(conn *net.UnixConn, into any) ([]*os.File, error) {
	var files []*os.File
	head := make([]byte, 4)
	if err := readWith(conn, head, &files); err != nil {
		return files, err
	}
	size := binary.BigEndian.Uint32(head)
	if size > maxFrame {
		return files, fmt.Errorf("a frame of %d bytes is too long", size)
	}
	data := make([]byte, size)
	if err := readWith(conn, data, &files); err != nil {
		return files, err
	}
	return files, json.Unmarshal(data, into)
}

// readWith fills b and collects the files on the way.
func readWith(conn *net.UnixConn, b []byte, files *[]*os.File) error {
	rights := make([]byte, syscall.CmsgSpace(4*16))
	for len(b) > 0 {
		n, oobn, _, _, err := conn.ReadMsgUnix(b, rights)
		if err != nil {
			return err
		}
		if err := collect(rights[:oobn], files); err != nil {
			return err
		}
		if n == 0 {
			return errors.New("the other process ended")
		}
		b = b[n:]
	}
	return nil
}

func collect(rights []byte, files *[]*os.File) error {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil {
		return err
	}
	for _, m := range messages {
		fds, err := syscall.ParseUnixRights(&m)
		if err != nil {
			return err
		}
		for _, fd := range fds {
			*files = append(*files, os.NewFile(uintptr(fd), fmt.Sprintf("inherited-%d", fd)))
		}
	}
	return nil
}
