// Package githook is what the readers of all git hosts' push deliveries share;
// each host is a package below it.
//
// The one idea: verify first, over the raw body and in constant time; then
// decode into a small struct of that host's own; then Accept makes the one
// normal form, a deploy.Push, or says what is wrong with it. A valid signature
// says who sent a delivery, never that its content is safe: texts are cut and
// made printable, hashes and refs are checked, and nothing else is interpreted.
//
// Files is left empty and FilesKnown false for every host: none of them
// promises that its lists are complete for every push.
package githook
