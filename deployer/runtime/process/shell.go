package process

import (
	"context"
	"io"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
)

// Facts is shell text: the functions that see processes, sockets and the record
// of a slot, and say, which answers and ends the script. They want $home, the
// slot's folder, and $hex, the port as Hex writes it.
const Facts = facts

// Account is shell text for a script of Run that starts a program as the user in
// $user: its function account sets as, the words of a command that becomes that
// user, and uid, gid, HOME, USER and LOGNAME; where that cannot be, the script
// ends with a verdict for Barred.
const Account = account

// Run runs a script with positional arguments on the host, after Facts. Errors
// carry the operation, the slot and the host's code.
func Run(ctx context.Context, h deployer.Host, s deploy.Step, op, script string, in io.Reader, args ...string) ([]byte, error) {
	return run(ctx, h, s, op, script, in, args...)
}

// Check refuses a step whose folders or port a script could misread, with
// deploy.CodeInvalid.
func Check(s deploy.Step, op string) error { return check(s, op) }

// EnvFile renders variables as shell text that sets them and does nothing else;
// its last line is "# end of env". deploy.CodeInvalid names the variable that
// cannot be passed on.
func EnvFile(s deploy.Step, env map[string]string) (string, error) { return envFile(s, env) }

// Verdict splits a script's answer into its first word, the rest of that line,
// and what follows.
func Verdict(out []byte) (word, rest, more string) { return verdict(out) }

// Seen turns what a script told of a slot, in the lines of Observe, into the
// evidence of exactly one Instance.
func Seen(s deploy.Step, out []byte) deploy.Evidence {
	i := instance(string(out))
	i.Slot = s.Slot
	if len(s.Hosts) == 1 {
		i.Host = s.Hosts[0]
	}
	return deploy.Evidence{Instances: []deploy.Instance{i}}
}

// Printable keeps at most the last limit bytes of a program's output, without
// control characters and broken UTF-8.
func Printable(text string, limit int) string { return printable(text, limit) }

// Fault is an error about the step's slot.
func Fault(s deploy.Step, op string, code deploy.Code, message string) *deploy.Error {
	return fault(s, op, code, message)
}

// Damaged is the error about a record that is not ipublish's.
func Damaged(s deploy.Step, op string) error { return damaged(s, op) }

// Barred tells a verdict of Account: the word and what followed it.
func Barred(s deploy.Step, user, word, what string) error { return barred(s, user, word, what) }

// Hex is a port as the kernel's tables write it.
func Hex(port int) string { return hexPort(port) }

// Centiseconds is the unit of the scripts' clock, rounded up.
func Centiseconds(d time.Duration) string { return centiseconds(d) }
