package slack

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	slackapi "github.com/slack-go/slack"

	"ipublish/bot"
	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// isGone reports whether a message cannot be edited and never will be.
func isGone(err error) bool {
	switch slackCode(err) {
	case "message_not_found", "cant_update_message", "edit_window_closed", "is_inactive":
		return true
	}
	return false
}

func slackCode(err error) string {
	var se slackapi.SlackErrorResponse
	if errors.As(err, &se) {
		return se.Err
	}
	return ""
}

// explain turns an error of slack-go into one with a code and a message that
// says what to do.
func explain(ctx context.Context, op, subject string, err error) error {
	var limited *slackapi.RateLimitedError
	if errors.As(err, &limited) {
		return throttled(op, subject, limited.RetryAfter)
	}
	var status slackapi.StatusCodeError
	if errors.As(err, &status) {
		switch {
		case status.Code == http.StatusTooManyRequests:
			return throttled(op, subject, 0)
		case status.Code >= 500:
			return unavailable(op, subject, status.Status)
		}
		return failed(op, subject, status.Status)
	}
	var se slackapi.SlackErrorResponse
	if errors.As(err, &se) {
		return answered(op, subject, se)
	}
	return hostile.Unreachable(ctx, "Slack", err)
}

// answered explains the error codes of chat.postMessage and chat.update.
func answered(op, subject string, se slackapi.SlackErrorResponse) error {
	e := &deploy.Error{Code: deploy.CodeFailed, Op: op, Subject: subject, Err: se}
	switch se.Err {
	case "not_in_channel":
		e.Code, e.Message = deploy.CodeNotFound, "the bot is not in the channel: type /invite @ipublish there"
	case "channel_not_found":
		e.Code, e.Message = deploy.CodeNotFound, "Slack does not know the channel, or it is private: check its id in channels: of the configuration and type /invite @ipublish there"
	case "is_archived":
		e.Code, e.Message = deploy.CodeNotFound, "the channel is archived: name another one in channels: of the configuration"
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "org_login_required", "two_factor_setup_required":
		e.Code, e.Message = deploy.CodeRefused, "Slack does not accept chat.slack.bot_token: install the app to the workspace again and copy its new xoxb- token"
	case "missing_scope", "no_permission", "not_allowed_token_type":
		e.Code, e.Message = deploy.CodeRefused, "the Slack app lacks a right: add the scope "+scope(se)+" under OAuth & Permissions and install the app again"
	case "restricted_action", "restricted_action_read_only_channel", "restricted_action_thread_only_channel", "ekm_access_denied", "team_access_not_granted":
		e.Code, e.Message = deploy.CodeRefused, "a rule of the Slack workspace forbids the bot to write here: ask its administrators"
	case "ratelimited", "rate_limited", "message_limit_exceeded":
		return throttled(op, subject, 0)
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "streaming_state_conflict":
		return unavailable(op, subject, se.Err)
	case "msg_too_long", "msg_blocks_too_long", "invalid_blocks", "invalid_blocks_format", "no_text":
		e.Code, e.Message = deploy.CodeInternal, "Slack found the message malformed ("+se.Err+"): please report this"
	default:
		return failed(op, subject, se.Err)
	}
	return e
}

func scope(se slackapi.SlackErrorResponse) string {
	if se.Needed != "" {
		return hostile.Line(se.Needed, 100)
	}
	return "chat:write"
}

// throttled says how long to wait; without a Retry-After one minute, the window
// of Slack's tiers.
func throttled(op, subject string, after time.Duration) error {
	if after <= 0 {
		after = time.Minute
	}
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Subject: subject,
		Message: fmt.Sprintf("Slack asks to wait %s before the next message", after), Err: &bot.Throttled{After: after}}
}

func unavailable(op, subject, said string) error {
	return &deploy.Error{Code: deploy.CodeUnavailable, Op: op, Subject: subject,
		Message: "Slack has a problem of its own (" + hostile.Line(said, 60) + "); it is tried again"}
}

func failed(op, subject, said string) error {
	return &deploy.Error{Code: deploy.CodeFailed, Op: op, Subject: subject,
		Message: "Slack refused the message: " + hostile.Line(said, 100)}
}

// explainOpen says what to do when no connection for the socket can be had.
func explainOpen(ctx context.Context, err error) error {
	var limited *slackapi.RateLimitedError
	var status slackapi.StatusCodeError
	var se slackapi.SlackErrorResponse
	switch {
	case err == nil:
		return nil
	case errors.As(err, &limited):
		after := max(limited.RetryAfter, time.Second)
		return unopened(deploy.CodeUnavailable, &bot.Throttled{After: after}, fmt.Sprintf("Slack asks to wait %s before the next connection", after))
	case errors.As(err, &se):
		return refusedOpen(se)
	case errors.As(err, &status):
		return unopened(deploy.CodeUnavailable, nil, fmt.Sprintf("Slack opens no connection (%s); it is tried again", hostile.Line(status.Status, 60)))
	}
	return hostile.Unreachable(ctx, "Slack", err)
}

// refusedOpen explains the error codes of apps.connections.open.
func refusedOpen(se slackapi.SlackErrorResponse) error {
	switch se.Err {
	case "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "user_removed_from_team", "team_disabled":
		return unopened(deploy.CodeRefused, se, "Slack does not accept chat.slack.app_token: generate a new one with the scope connections:write under Basic Information, App-Level Tokens, of the app at api.slack.com/apps; until then no command arrives")
	case "not_allowed_token_type":
		return unopened(deploy.CodeRefused, se, "chat.slack.app_token is a token of another kind: it must be the app-level token xapp-… from Basic Information, App-Level Tokens, not the bot's; until then no command arrives")
	case "missing_scope", "no_permission":
		return unopened(deploy.CodeRefused, se, "chat.slack.app_token lacks the scope connections:write: generate a new one with it under Basic Information, App-Level Tokens, of the app at api.slack.com/apps; until then no command arrives")
	case "ratelimited", "rate_limited":
		return unopened(deploy.CodeUnavailable, &bot.Throttled{After: time.Minute}, "Slack asks to wait a minute before the next connection")
	case "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org":
		return unopened(deploy.CodeUnavailable, se, fmt.Sprintf("Slack opens no connection (%s); it is tried again", se.Err))
	}
	return unopened(deploy.CodeRefused, se, fmt.Sprintf("Slack opens no connection (%s): look whether Socket Mode is on in the app's settings at api.slack.com/apps; until then no command arrives", hostile.Line(se.Err, 60)))
}

func unopened(code deploy.Code, cause error, message string) error {
	return &deploy.Error{Code: code, Op: "open", Subject: "slack socket", Message: message, Err: cause}
}
