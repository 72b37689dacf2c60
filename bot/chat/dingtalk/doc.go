// Package dingtalk is the driver of DingTalk: an app robot's messages over the
// HTTP callback in; group messages of the app robot and of custom robots out.
//
// The one idea: nothing that was sent can be edited, so every Post is a new
// message and Edits is always false; whoever posts decides which states are
// worth one. Custom robots are addressed as dingtalk:webhook/NAME, groups of
// the app robot as dingtalk: and the conversation's id.
//
// The callback's signature does NOT cover the body: whoever sees its headers can
// send another body with them for one hour. Therefore a second body under the
// same signature is refused, answers go to oapi.dingtalk.com only whatever the
// body says, and TLS is a must.
//
// Guarantees: no message mentions anybody; links and pictures in texts are
// defused; tokens and signed addresses appear in no error; no call waits for a
// rate limit: see bot.Throttled.
package dingtalk
