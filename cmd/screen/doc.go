// Package screen shows a deploy to a person at a terminal, or in a pipe.
//
// The one idea: what is shown is always deploy.Describe of the folded state. A
// terminal gets it redrawn in place, with a moving bar; a pipe gets one line for
// each thing that changed, and the whole of it at the end.
//
// Guarantees: lines are cut to the terminal's width before they are drawn, so
// that redrawing never leaves a torn line; colours and movement are used on a
// terminal only, and never with NO_COLOR or TERM=dumb.
package screen
