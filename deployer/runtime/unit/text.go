package unit

import (
	"fmt"
	"strings"
	"time"
)

// slack is how much longer than the stop timeout systemd waits before it kills:
// who asked for the stop kills in time, and systemd does if that one is gone.
const slack = 5 * time.Second

// Text is the unit of the slot whose folder is home, but its [Install] section,
// which depends on the host. It runs home/run with sh, and does nothing where
// that is gone, as it is once the slot was stopped. stop is the time from SIGTERM
// to SIGKILL.
func Text(home string, stop time.Duration) string {
	return fmt.Sprintf(`# ipublish slot %s
# Written by ipublish at each start of the slot. Own settings belong into a drop-in.
[Unit]
Description=%s, run by ipublish
ConditionPathExists=%s/run
RequiresMountsFor=%s
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=simple
ExecStart=/bin/sh %s
Restart=on-failure
RestartSec=1
SuccessExitStatus=143
KillMode=control-group
TimeoutStopSec=%d
`, home, plain(strings.Join(slot(home), " ")), plain(home), word(home), strings.ReplaceAll(word(home+"/run"), "$", "$$"),
		int((stop+slack+time.Second-1)/time.Second))
}

// plain is text for a setting that is the rest of its line.
func plain(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// word is text as one word of a setting that is made of words.
func word(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "%", "%%").Replace(text) + `"`
}
