package process

import (
	"context"
	"fmt"
	"path"
	"strconv"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/unit"
)

const enable = supervision + `
home=$1 unit=$2
shift 2
boss || say enabled
if have && mine; then
	sync "$home/run" "$home/env" "$units/$unit" 2>/dev/null || sync
	failed=$($sd enable "$unit" 2>&1) || say unable "$failed"
fi
own=$unit
for unit; do
	[ "$unit" != "$own" ] && [ -L "$units/$wanted.wants/$unit" ] || continue
	failed=$($sd disable "$unit" 2>&1) || say unable "$failed"
done
sync "$units" 2>/dev/null || sync
say enabled
`

// Enable makes the slot's unit, where it has one, the one of its environment's
// slots that starts with the host, on disk when it returns. A slot without a unit
// starts nothing, and those of the others do not start either. deploy.CodeFailed:
// systemd refused. Otherwise the host's code.
func Enable(ctx context.Context, h deployer.Host, s deploy.Step) error {
	if err := check(s, "enable"); err != nil {
		return err
	}
	args := []string{s.Home, unit.Name(s.Home)}
	for _, slot := range []deploy.Slot{deploy.Blue, deploy.Green, deploy.Main} {
		args = append(args, unit.Name(path.Join(path.Dir(s.Home), string(slot))))
	}
	out, err := run(ctx, h, s, "enable", enable, nil, args...)
	if err != nil {
		return err
	}
	switch word, rest, more := verdict(out); word {
	case "enabled":
		return nil
	case "unable":
		return fault(s, "enable", deploy.CodeFailed, fmt.Sprintf("what starts with the host could not be set by systemctl: %s", printable(strings.TrimSpace(rest+"\n"+more), 300)))
	default:
		return fault(s, "enable", deploy.CodeInternal, "the enable script answered "+strconv.Quote(printable(string(out), 200)))
	}
}

const advise = unit.Shell + `
boss && say fine
say unmanaged "$why"
`

// Advise says why a program would not be started again by the host, where the
// supervisor is to do it: nothing where all is well, or the host cannot be asked.
func Advise(ctx context.Context, h deployer.Host, s deploy.Step, by Supervisor) []string {
	if by == Session || by == "" {
		return nil
	}
	out, err := run(ctx, h, s, "check", advise, nil)
	if err != nil {
		return nil
	}
	word, rest, more := verdict(out)
	if word != "unmanaged" || by == Auto && rest == "none" {
		return nil
	}
	return []string{unmanaged(s, "check", printable(strings.TrimSpace(rest+"\n"+more), 300)).Message}
}
