package store

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"ipublish/deploy"
)

// lockFile keeps a second process out of the folder for as long as it is held.
type lockFile struct {
	file *os.File
	here *watched
}

// lockPause is the pause between two tries to take the lock.
const lockPause = 20 * time.Millisecond

// takeLock returns deploy.CodeRefused, with the holder's pid, when another
// process (or another Store of this one) still holds the lock after the wait.
func takeLock(path string, wait time.Duration) (*lockFile, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	lock, err := lockOpened(f, path)
	for begin := time.Now(); deploy.CodeOf(err) == deploy.CodeRefused && time.Since(begin) < wait; {
		<-time.After(lockPause)
		lock, err = lockOpened(f, path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return lock, nil
}

func lockOpened(f *os.File, path string) (*lockFile, error) {
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, inUse(path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if err := f.Truncate(0); err != nil {
		return nil, fmt.Errorf("write lock file: %w", err)
	}
	if _, err := f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0); err != nil {
		return nil, fmt.Errorf("write lock file: %w", err)
	}
	here, err := watch(f, path)
	if err != nil {
		return nil, err
	}
	return &lockFile{file: f, here: here}, nil
}

func inUse(path string) error {
	holder := "another process"
	if b, err := os.ReadFile(path); err == nil {
		if pid := strings.TrimSpace(string(b)); pid != "" {
			holder = "process " + pid
		}
	}
	return &deploy.Error{
		Code: deploy.CodeRefused, Op: "open", Subject: path,
		Message: fmt.Sprintf("%s uses this state folder: stop it first, or give this one a folder of its own", holder),
	}
}

// release closes the file, which unlocks it; the file stays.
func (l *lockFile) release() error { return l.file.Close() }
