package script

import (
	"context"
	"encoding/json"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

// New returns the runtime of a section; it is a deployer.Adviser too.
// deploy.CodeInvalid names the key that is wrong.
func New(raw json.RawMessage) (deployer.Runtime, error) {
	s, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return driver{s}, nil
}

type driver struct{ settings settings }

// Observe implements deployer.Runtime, in one round trip. PID is the process of
// the pid file, or the one on record where the file is gone and nobody serves
// the port. Key and Release are told only of the very process that Start
// recorded, and Release only while the release's folder holds it.
//
// deploy.CodeDrift: the record in the slot's folder is not ipublish's.
func (d driver) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	if err := process.Check(s, "observe"); err != nil {
		return deploy.Evidence{}, err
	}
	set := d.settings.expand(s)
	out, err := process.Run(ctx, h, s, "observe", sight+observe, nil, s.Home, process.Hex(s.Port), set.PIDFile, set.Log)
	if err != nil {
		return deploy.Evidence{}, err
	}
	if word, _, _ := process.Verdict(out); word == "damaged" {
		return deploy.Evidence{}, process.Damaged(s, "observe")
	}
	return process.Seen(s, out), nil
}

const observe = `
home=$1 hex=$2 pidfile=$3 log=$4
look
if [ "$app" -gt 0 ]; then
	printf 'pid %s\nstart %s\n' "$app" "$appborn"
	if mine; then
		printf 'key %s\n' "$key"
		line=
		[ ! -r "$dir/.ipublish-sha256" ] || IFS= read -r line <"$dir/.ipublish-sha256"
		[ -z "$sha" ] || [ "$line" != "$sha" ] || printf 'sha256 %s\n' "$sha"
	fi
fi
if [ -n "$inodes" ]; then
	printf 'owner %s\n' "$owner"
	if [ -n "$owned" ]; then
		echo owned
	elif [ "$owner" -gt 0 ]; then
		! status "$owner" || printf 'ownerstart %s\n' "$start"
		printf 'command %s\n' "$(command_of "$owner")"
	fi
fi
echo log
if [ -n "$log" ] && [ -s "$log" ] && [ -r "$log" ] && ! [ "$home/starting" -nt "$log" ]; then
	tail -c 4097 "$log"
else
	lastlog 4097
fi
`
