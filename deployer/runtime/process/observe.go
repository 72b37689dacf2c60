package process

import (
	"context"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

const observe = `
home=$1 hex=$2
record || say damaged
alive= owner=0
if running; then
	alive=1
	printf 'pid %s\nstart %s\nkey %s\n' "$pid" "$born" "$key"
	line=
	[ ! -r "$dir/.ipublish-sha256" ] || IFS= read -r line <"$dir/.ipublish-sha256"
	[ -z "$sha" ] || [ "$line" != "$sha" ] || printf 'sha256 %s\n' "$sha"
fi
listeners
if [ -n "$missing" ]; then
	owned=1
	if { [ -z "$alive" ] || ! holds "$pid"; } && ! holds $(ours); then
		stranger
		case " $(ours) " in *" $owner:"*) ;; *) owned= ;; esac
	fi
	printf 'owner %s\n' "$owner"
	if [ -n "$owned" ]; then
		echo owned
	elif [ "$owner" -gt 0 ]; then
		! status "$owner" || printf 'ownerstart %s\n' "$start"
		printf 'command %s\n' "$(command_of "$owner")"
	fi
fi
[ "$pid" -gt 0 ] && [ -r "$home/log" ] || exit 0
echo log
exec tail -c 4097 "$home/log"
`

// startMark begins the line of the log at which a start begins.
const startMark = "=== ipublish starts "

// maxLog is how much of the program's output Observe returns, in bytes.
const maxLog = 4096

// Observe says in one round trip what runs in the slot: exactly one Instance.
// PID, Started and Key are of the recorded process and only while it lives. Log is
// the end of what was logged since the last start, as long as that is on record.
// Release is the sha256 on record, and empty when the folder that it was started
// from does not carry it any more. PortPID is a foreign process as soon as one
// listens on the port, even beside ours; PortStarted, in the unit of Started, and
// Command are told of a foreign one that can be seen. Host is the step's, where
// it names one.
//
// deploy.CodeDrift: the instance record is not ipublish's. Otherwise the host's code.
func Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	if err := check(s, "observe"); err != nil {
		return deploy.Evidence{}, err
	}
	out, err := run(ctx, h, s, "observe", observe, nil, s.Home, hexPort(s.Port))
	if err != nil {
		return deploy.Evidence{}, err
	}
	if word, _, _ := verdict(out); word == "damaged" {
		return deploy.Evidence{}, damaged(s, "observe")
	}
	i := instance(string(out))
	i.Slot = s.Slot
	if len(s.Hosts) == 1 {
		i.Host = s.Hosts[0]
	}
	return deploy.Evidence{Instances: []deploy.Instance{i}}, nil
}

// instance reads the observe script's answer.
func instance(out string) deploy.Instance {
	var i deploy.Instance
	for {
		line, rest, _ := strings.Cut(out, "\n")
		name, value, _ := strings.Cut(line, " ")
		switch name {
		case "pid":
			i.PID, _ = strconv.Atoi(value)
		case "start":
			i.Started = value
		case "key":
			i.Key = value
		case "sha256":
			i.Release = value
		case "owner":
			i.PortPID, _ = strconv.Atoi(value)
		case "ownerstart":
			i.PortStarted = value
		case "owned":
			i.Owned = true
		case "command":
			i.Command = strings.TrimSpace(printable(value, 300))
		case "log":
			i.Log = printable(sinceStart(rest), maxLog)
			return i
		}
		if rest == "" {
			return i
		}
		out = rest
	}
}

// sinceStart is the end of a log from its last start on, in whole lines.
func sinceStart(log string) string {
	if at := strings.LastIndex("\n"+log, "\n"+startMark); at >= 0 {
		_, log, _ = strings.Cut(log[at:], "\n")
	}
	if log != "" && !strings.HasSuffix(log, "\n") {
		log += "\n"
	}
	return log
}
