// Package slack is the driver of Slack: slash commands over HTTP or, by Socket
// Mode, over a connection that ipublish opens itself; Block Kit messages out.
//
// The one idea: the live message is posted once with the bot token and edited in
// place; response_url only carries answers that the asker alone sees.
//
// Guarantees: an HTTP request is read only if its v0 signature covers the raw
// body and is at most five minutes old, and with the socket transport not at
// all. A command of the socket is acknowledged only after it was taken; one that
// was not is never acknowledged as if it were. A connection that ends, falls
// silent or cannot be opened is opened again for ever, with growing pauses.
// Over the socket the bot also hears its mentions, which work in threads.
// Every message carries text and blocks within Slack's documented limits. Texts
// are escaped once and last, never parsed for names or links. A token is sent to
// the configured API only and follows no redirect; an answer goes to
// hooks.slack.com only. No call waits for a rate limit: see bot.Throttled.
package slack
