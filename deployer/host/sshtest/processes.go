package sshtest

import (
	"bytes"
	"os"
	"strconv"
	"strings"
)

// descendants are the pids below a process, as far as their parents live.
func descendants(root int) []int {
	children := map[int][]int{}
	for _, pid := range pids() {
		if parent := parentOf(pid); parent > 0 {
			children[parent] = append(children[parent], pid)
		}
	}
	var found []int
	for open := []int{root}; len(open) > 0; {
		next := children[open[0]]
		found, open = append(found, next...), append(open[1:], next...)
	}
	return found
}

// serves: the process is an sshd, not something that a session runs.
func serves(pid int) bool {
	comm, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	return err == nil && strings.HasPrefix(string(comm), "sshd")
}

// marked are the processes whose environment holds the setting.
func marked(setting string) []int {
	var found []int
	for _, pid := range pids() {
		environ, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
		if err == nil && bytes.Contains(append([]byte{0}, environ...), []byte("\x00"+setting+"\x00")) {
			found = append(found, pid)
		}
	}
	return found
}

func pids() []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var all []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil {
			all = append(all, pid)
		}
	}
	return all
}

// parentOf reads the fourth field of stat; the second may hold spaces and ends with ')'.
func parentOf(pid int) int {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return 0
	}
	parent, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return parent
}
