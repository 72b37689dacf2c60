package systemd

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

const advise = `
home=$1 hex=$2 unit=$3 manager=$4 rolling=$5
` + ask + `
$sd show -p LoadState -p NeedDaemonReload -p UnitFileState -p EnvironmentFiles -p WorkingDirectory -p ExecStart -p TimeoutStopUSec -- "$unit" 2>/dev/null
exit 0
`

// Advise implements deployer.Adviser.
func (d driver) Advise(ctx context.Context, h deployer.Host, s deploy.Step) []string {
	out, err := process.Run(ctx, h, s, "check", advise, nil, d.args(s)...)
	if err != nil || len(out) == 0 {
		return nil
	}
	shown := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		shown[name] += value + "\n"
	}
	return d.advice(s, shown)
}

// advice judges what systemd shows of the unit.
func (d driver) advice(s deploy.Step, shown map[string]string) []string {
	is := func(name, value string) bool { return strings.TrimSpace(shown[name]) == value }
	name := d.unit(s)
	if !is("LoadState", "loaded") {
		return []string{fmt.Sprintf("unit %s is not on the host: put its file in place there, and run `systemctl daemon-reload`", name)}
	}
	var out []string
	if is("NeedDaemonReload", "yes") {
		out = append(out, fmt.Sprintf("the file of unit %s changed since systemd read it: run `systemctl daemon-reload` on the host", name))
	}
	if !strings.Contains(shown["EnvironmentFiles"], s.Home+"/env ") {
		out = append(out, fmt.Sprintf("unit %s does not read the slot's environment: give it EnvironmentFile=%s/env", name, s.Home))
	}
	if !strings.Contains(shown["WorkingDirectory"]+shown["ExecStart"], s.Home+"/current") && !strings.Contains(shown["ExecStart"], "DIR") {
		out = append(out, fmt.Sprintf("unit %s starts the same files whatever is deployed: let WorkingDirectory or ExecStart begin with %s/current", name, s.Home))
	}
	if limit, ok := span(shown["TimeoutStopUSec"]); ok && limit < s.Stop.D() {
		out = append(out, fmt.Sprintf("unit %s is killed %s after it was asked to stop, before stop_timeout (%s): raise its TimeoutStopSec", name, limit, s.Stop))
	}
	if is("UnitFileState", "static") {
		out = append(out, fmt.Sprintf("unit %s cannot be enabled and does not start with the host: give it an [Install] section", name))
	}
	return out
}

// span reads a time as systemctl shows it, such as "1min 30s"; not ok where
// there is none, or no end to it.
func span(text string) (time.Duration, bool) {
	units := map[string]time.Duration{"us": time.Microsecond, "ms": time.Millisecond, "s": time.Second, "min": time.Minute, "h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}
	var sum time.Duration
	for _, word := range strings.Fields(text) {
		name := strings.TrimLeft(word, "0123456789.")
		n, err := strconv.ParseFloat(strings.TrimSuffix(word, name), 64)
		if err != nil || units[name] == 0 {
			return 0, false
		}
		sum += time.Duration(n * float64(units[name]))
	}
	return sum, sum > 0
}
