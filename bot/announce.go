package bot

import (
	"context"
	"fmt"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// announcePatience is how long a chat is tried before an announcement is given up.
const announcePatience = time.Hour

// Announce posts lines, which may hold hostile text, as one message to a channel
// such as "slack:C0DEPLOYS". It blocks until the message was shown, ctx ends or an
// hour passed, and tries again meanwhile as the platform asks, else with growing
// pauses. Nothing of it is durable. deploy.CodeNotFound at once: the channel's
// chat is not configured; else the chat's last error. After a platform's trouble
// the message may be shown twice.
func (n *Notifier) Announce(ctx context.Context, channel string, lines []string) error {
	chat := n.chatOf(channel)
	if chat == nil {
		return &deploy.Error{Code: deploy.CodeNotFound, Op: "announce", Subject: channel, Message: "the chat of " + channel + " is not configured: add it to chat: in ipublish.yaml"}
	}
	ctx, cancel := context.WithTimeout(ctx, announcePatience)
	defer cancel()
	var pause backoff
	for {
		_, err := post(ctx, chat, deploy.Message{Channel: channel, Lines: lines, Final: true})
		if err == nil {
			return nil
		}
		wait, asked := throttled(err)
		if !asked {
			n.complain(ctx, channel, pause, err)
			wait = pause.next(announcePause(err))
		}
		if sleep(ctx, wait); ctx.Err() != nil {
			return err
		}
	}
}

// announcePause is the longest pause after an error: short where it may pass by itself.
func announcePause(err error) time.Duration {
	switch deploy.CodeOf(err) {
	case deploy.CodeUnavailable, deploy.CodeTimeout:
		return maxPause
	}
	return personPause
}

// complain logs the first failure of an announcement.
func (n *Notifier) complain(ctx context.Context, channel string, pause backoff, err error) {
	if pause.failures == 0 && ctx.Err() == nil {
		n.Log.Warn("an announcement could not be sent and is tried again", "channel", channel, "err", err)
	}
}

// Missed is a branch's tip that no deploy is known of, in an environment that
// deploys the branch by itself.
type Missed struct {
	Target deploy.Target
	Branch string
	Tip    deploy.Commit
	Live   deploy.Commit
}

// mostMissed is how many environments one message names.
const mostMissed = 10

// MissedLines tells of pushes that were missed, and what to type; there is at
// least one.
func MissedLines(all []Missed) []string {
	lines := []string{"1 push was missed while ipublish was away:"}
	if len(all) > 1 {
		lines[0] = fmt.Sprintf("%d pushes were missed while ipublish was away:", len(all))
	}
	for _, m := range all[:min(len(all), mostMissed)] {
		branch := hostile.Line(m.Branch, 60)
		lines = append(lines, fmt.Sprintf("%s → %s: %s is at %s, %s is live: `deploy %s %s to %s`",
			m.Target.App, m.Target.Env, branch, commitText(m.Tip), m.Live.Short(), m.Target.App, branch, m.Target.Env))
	}
	if more := len(all) - mostMissed; more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more: `status` shows what is live", more))
	}
	return lines
}
