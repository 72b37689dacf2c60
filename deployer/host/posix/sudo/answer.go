package sudo

import (
	"fmt"
	"slices"
	"strings"

	"ipublish/deployer"
)

// state is what a probe that failed shows.
type state int

const (
	absent        state = iota // become's program is not on the host
	wantsTerminal              // sudo wants one, and ipublish has none
	wantsPassword              // and nobody is there to type it
	denied                     // no rule allows it
	broken                     // sudo itself cannot work, or become is no sudo
	unheard                    // sudo cannot be asked this way
)

// bySudoers reports whether a line of sudoers mends it.
func (s state) bySudoers() bool { return s == wantsTerminal || s == wantsPassword || s == denied }

// judge reads an answer. With a password to be typed sudo does not tell whether
// a rule would allow the command then; the lines are the same.
func judge(exit *deployer.ExitError, argv []string) state {
	says := func(texts ...string) bool {
		return slices.ContainsFunc(texts, func(t string) bool { return strings.Contains(exit.Stderr, t) })
	}
	asked := slices.Contains(argv, "-l")
	switch {
	case exit.Code == 127 && says("setsid: ", "env: "):
		return absent
	case says("must have a tty"):
		return wantsTerminal
	case says("password is required", "terminal is required", "no askpass program", "authentication is required"):
		return wantsPassword
	case says("is not allowed to", "not in the sudoers file", "may not run sudo", "I'm afraid I can't do that"):
		return denied
	case asked && strings.TrimSpace(exit.Stderr) == "":
		return denied
	case asked:
		return unheard
	}
	return broken
}

// fault tells a person what stands in the way and what to do.
func (r request) fault(user string) error {
	program := r.become[0]
	switch r.state {
	case absent:
		return fault(nil, fmt.Sprintf("become: %s is not on the host: install it, or let root deploy there without become", program))
	case wantsTerminal:
		return fault(nil, fmt.Sprintf("become: sudo wants a terminal of %s, and a bot has none: put the lines below into /etc/sudoers.d/ipublish with visudo", user))
	case wantsPassword:
		return fault(nil, fmt.Sprintf("become: sudo wants a password of %s: put the lines below into /etc/sudoers.d/ipublish with visudo", user))
	case denied:
		return fault(nil, fmt.Sprintf("become: sudo does not let %s run what ipublish needs: put the lines below into /etc/sudoers.d/ipublish with visudo", user))
	}
	return fault(nil, fmt.Sprintf("become: %s does not work for %s: %s", program, user, lastLine(r.said)))
}

func lastLine(text string) string {
	text = strings.TrimSpace(text)
	text = text[strings.LastIndexByte(text, '\n')+1:]
	if text == "" {
		return "it ends without a word"
	}
	return strings.ToValidUTF8(text[max(0, len(text)-300):], "")
}
