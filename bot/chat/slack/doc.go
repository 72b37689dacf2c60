// Package slack is the driver of Slack: slash commands over HTTP in, Block Kit
// messages out.
//
// The one idea: the live message is posted once with the bot token and edited in
// place; response_url only carries answers that the asker alone sees.
//
// Guarantees: a request is read only if its v0 signature covers the raw body and
// is at most five minutes old. Every message carries text and blocks within
// Slack's documented limits. Texts are escaped once and last, never parsed for
// names or links. A token is sent to the configured API only and follows no
// redirect; an answer goes to hooks.slack.com only. No call waits for a rate
// limit: see bot.Throttled.
package slack
