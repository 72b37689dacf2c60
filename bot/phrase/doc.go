// Package phrase says in another language what ipublish says in English.
//
// The one idea: texts are English in the code and in the journal, finished when
// they are written; where a chat of another language is told something, the
// finished line is recognised by the format string that made it, and said again
// by that format's translation. The catalogue is the files in zh/: a format as it
// stands in the code, and below it, after "= ", its translation; zh/deploy.txt
// explains the signs. A text without an entry fails a test, which names it and
// its place, and so does an entry that nothing says any more.
//
// Guarantees: what matches no format is left as it is, byte for byte, and so is
// what formats were filled with, unless the translation says that it is a text
// of ipublish itself; a stranger's words are translated only where a whole line,
// or what ": " and "; " set apart, reads exactly as a text of ours. Commands in
// `backticks` are never changed; no character of markup appears that was not
// there; the work is bounded.
package phrase
