// Package dingtalk is the driver of DingTalk: an app robot's messages in, over
// Stream mode or the HTTP callback; group messages of the app robot and of
// custom robots out.
//
// The one idea: nothing that was sent can be edited, so every Post is a new
// message and Edits is always false; whoever posts decides which states are
// worth one. Custom robots are addressed as dingtalk:webhook/NAME, groups of
// the app robot as dingtalk: and the conversation's id.
//
// In Stream mode the bot dials DingTalk, so that it needs no public address, and
// TLS with the app's secret vouches for every message. DingTalk sends a message
// once, to one connection, and no second time: what is said while no connection
// is open is lost, and the person has to say it again. Therefore a connection
// that DingTalk announces to close is replaced before it is left.
//
// The callback's signature does NOT cover the body: whoever sees its headers can
// send another body with them for one hour. Therefore a second body under the
// same signature is refused, answers go to oapi.dingtalk.com only whatever the
// body says, and TLS is a must. Stream mode has no such weakness: prefer it.
//
// Guarantees: no message mentions anybody; links and pictures in texts are
// defused; tokens, tickets, secrets and signed addresses appear in no error and
// no log; no call waits for a rate limit: see bot.Throttled.
package dingtalk
