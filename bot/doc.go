// Package bot listens and speaks: it receives pushes of git hosts and commands
// of people, turns them into requests and control events, and tells channels
// how deploys go.
//
// The one idea: nothing is done in a handler. A delivery or command is verified,
// understood, authorised and made durable (one Submit or one Append), and only
// then acknowledged; the engine works from the journal, and the notifier speaks
// from the journal.
//
// Guarantees: bytes of strangers are verified before they are read; rights hang
// on ids that their owner cannot change, checked by one function (Authorize);
// the same delivery twice has one effect and gets the same answer; whether a
// repository is known cannot be told from an answer; no chat, however slow or
// broken, delays a deploy or another channel. No body is read for a hook that is
// not there or without the form of a proof; git hosts, chats, the API and the
// unix socket share no memory and no places, and a stalled sender is given up.
// Texts of strangers leave the package without control characters; markup is the
// chat drivers' to escape.
package bot
