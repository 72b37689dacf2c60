package systemd

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const enable = `
home=$1 hex=$2 unit=$3 manager=$4 rolling=$5
shift 5
` + ask + `
failed=$($sd enable "$unit" 2>&1) || say unable "$failed"
own=$unit
for home; do
	recall || continue
	unit=$runit
	[ -n "$unit" ] && [ "$unit" != "$own" ] && $sd is-enabled --quiet "$unit" 2>/dev/null || continue
	failed=$($sd disable "$unit" 2>&1) || say unable "$failed"
done
say enabled
`

// Enable implements deployer.Enabler: the slot's unit is enabled, then those that
// the environment's other slots had are disabled. deploy.CodeFailed: systemd
// refused, for one because the unit has no [Install] section. Otherwise the
// host's code.
func (d driver) Enable(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := process.Check(s, "enable"); err != nil {
		return err
	}
	args := d.args(s)
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green, deploy.Main} {
		args = append(args, path.Join(path.Dir(s.Home), string(slot)))
	}
	out, err := process.Run(ctx, h, s, "enable", enable, nil, args...)
	if err != nil {
		return err
	}
	switch word, rest, more := process.Verdict(out); word {
	case "enabled":
		return nil
	case "unable":
		return process.Fault(s, "enable", deploy.CodeFailed, fmt.Sprintf("what starts with the host could not be set by systemctl: %s", process.Printable(strings.TrimSpace(rest+"\n"+more), 300)))
	default:
		return process.Fault(s, "enable", deploy.CodeInternal, "the enable script answered "+strconv.Quote(process.Printable(string(out), 200)))
	}
}
