package systemd

import (
	"context"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const observe = `
home=$1 hex=$2 unit=$3 manager=$4 rolling=$5
` + ask + `
recall || say damaged
look || say deaf "$($sd show -p Version 2>&1)"
if session; then say session; fi
alive= owner=0
if [ "$main" -gt 0 ] && ourown && status "$main" && ! dead; then
	alive=1
	printf 'pid %s\nstart %s\n' "$main" "$start"
	if proven; then
		printf 'key %s\n' "$rkey"
		line=
		[ ! -r "$rdir/.ipublish-sha256" ] || IFS= read -r line <"$rdir/.ipublish-sha256"
		[ -z "$rsha" ] || [ "$line" != "$rsha" ] || printf 'sha256 %s\n' "$rsha"
	fi
fi
listeners
if [ -n "$missing" ]; then
	owned=1
	if ! ourown || { ! holds "$main" && ! holds $(within); }; then
		stranger
		owned=
		! ourown || case " $(within | tr '\n' ' ')" in *" $owner "*) owned=1 ;; esac
	fi
	printf 'owner %s\n' "$owner"
	if [ -n "$owned" ]; then
		echo owned
	elif [ "$owner" -gt 0 ]; then
		! status "$owner" || printf 'ownerstart %s\n' "$start"
		printf 'command %s\n' "$(command_of "$owner")"
	fi
fi
echo log
$journal --no-pager -o cat -n 20 -u "$unit" 2>/dev/null | tail -c 4096
`

// Observe implements deployer.Runtime. PID is the unit's main process as it is
// now; Key is what the slot's folder leads to, and empty where that proves
// nothing. Owned is told by the unit's control group. deploy.CodeDrift: the
// record in the slot's folder is not ipublish's. Otherwise the host's code.
func (d driver) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	if err := process.Check(s, "observe"); err != nil {
		return deploy.Evidence{}, err
	}
	out, err := process.Run(ctx, h, s, "observe", observe, nil, d.args(s)...)
	if err != nil {
		return deploy.Evidence{}, err
	}
	switch word, rest, more := process.Verdict(out); word {
	case "session":
		return process.Observe(ctx, h, s)
	case "damaged":
		return deploy.Evidence{}, d.damaged(s, "observe")
	case "deaf":
		return deploy.Evidence{}, d.deaf(s, "observe", rest+"\n"+more)
	}
	return process.Seen(s, out), nil
}
