// Package config reads ipublish.yaml into the language of package deploy.
//
// The one idea: everything is checked once, at load, with the file, the line
// and what to write instead; after that nothing needs to be doubted.
//
// Guarantees: unknown keys are errors; references (${NAME}, ${file:/path}) in
// apps stay references, so that no secret enters a plan, but each is resolved
// once at load to prove that it can be; a file that others can read and that
// holds a literal secret is refused. The package does no network I/O.
package config
