// Package local is the host that ipublish itself runs on.
//
// The one idea: a command is a child in a process group of its own, with an
// environment that is listed here and holds none of the bot's secrets, and it
// ends with the call that started it.
//
// Guarantees: a call returns within about half a second of its context's end,
// even if a grandchild keeps a pipe open or the command runs as another user
// and cannot be killed; what is left then is reaped when it ends. Files are
// replaced whole or not at all. Every error is a *deploy.Error.
package local
