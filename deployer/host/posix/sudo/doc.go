// Package sudo finds out whether a host's become prefix works without a person,
// and which lines its sudoers lacks.
//
// The one idea: sudo itself is asked, as the deploy user, for the very thing
// that ipublish does through it, and its answer is read in English.
//
// Guarantees: nothing is changed on the host; no password is ever sent; every
// error is a *deploy.Error. The lines say of themselves that a shell as root is
// root: no narrower rule lets ipublish work, for it runs its fixed scripts with
// sh and writes files with /bin/sh.
package sudo
