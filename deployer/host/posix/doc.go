// Package posix is what every host driver says to a POSIX system: how an argv
// becomes a shell line, how a file is written whole by a fixed script, how much
// of a command's output is kept, and which error a command's end is.
//
// The one idea: a local child and a remote session differ only in how bytes
// travel. All that could be got wrong twice is here once.
//
// Guarantees: nothing here performs I/O by itself; no text of an argument, a
// path or a file's content is ever interpreted by a shell; every error is a
// *deploy.Error.
package posix
