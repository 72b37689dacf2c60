package dingtalk

import (
	"fmt"
	"strings"
	"time"

	"ipublish/bot"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// The errcodes that say what to do; seen in public issue trackers, where
// DingTalk's pages do not list them.
const (
	codeBusy     = -1
	codeSecurity = 310000 // one of the robot's security settings is not met
	codeTooFast  = 130101 // more than 20 messages a minute
	codeNoToken  = 300001 // also for a deleted session
	codeNoToken2 = 300005
)

// explain turns a robot's errcode into an error with a code and a message that
// says what to do.
func explain(op, subject string, code int, said string) error {
	switch code {
	case codeBusy:
		return unavailable(op, subject, said)
	case codeTooFast:
		return throttled(op, subject, RobotPenalty)
	case codeSecurity:
		return refusal(op, subject, security(said), code, said)
	case codeNoToken, codeNoToken2:
		if op == "reply" {
			return &deploy.Error{Code: deploy.CodeNotFound, Op: op, Subject: subject, Message: "the answer came too late: DingTalk takes answers for 90 minutes; ask again"}
		}
		return refusal(op, subject, "DingTalk does not know the robot's access_token: copy the url whole from the group's robot settings; perhaps the robot was removed", code, said)
	}
	return failed(op, subject, fmt.Sprintf("errcode %d, %s", code, said))
}

// security tells the settings of a custom robot apart by what DingTalk says.
func security(said string) string {
	low := strings.ToLower(said)
	switch {
	case strings.Contains(low, "keyword"):
		return "the robot demands a keyword that is not in the message: set keyword of this webhook to one of those in the robot's security settings"
	case strings.Contains(low, "timestamp"):
		return "DingTalk finds the time of the signature wrong: check the clock of this machine"
	case strings.Contains(low, "sign"):
		return "the signature does not match: copy secret of this webhook once more from the robot's security settings, from SEC on"
	case strings.Contains(low, "ip"):
		return "the robot only accepts listed addresses: add this machine's public address in the robot's security settings"
	}
	return "one of the robot's security settings is not met: " + hostile.Line(said, 200)
}

func refusal(op, subject, message string, code int, said string) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: op, Subject: subject, Message: message,
		Err: fmt.Errorf("errcode %d: %s", code, hostile.Line(said, 200))}
}

func throttled(op, subject string, after time.Duration) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Subject: subject,
		Message: fmt.Sprintf("DingTalk asks to wait %s before the next message", after), Err: &bot.Throttled{After: after}}
}

func unavailable(op, subject, said string) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Subject: subject,
		Message: "DingTalk has a problem of its own (" + hostile.Line(said, 100) + "); it is tried again"}
}

func failed(op, subject, said string) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: op, Subject: subject,
		Message: "DingTalk refused the message: " + hostile.Line(said, 200)}
}
