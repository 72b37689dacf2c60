// Package source turns a typed ref into a commit, and a commit into an artifact.
//
// The one idea: a repository is only ever read through its mirror, a bare
// repository under the state folder that holds whole packs. What the remote
// says (names, hashes, progress) is compared and copied, never executed: no git
// program is started, no ref is an argument or a path.
//
// What a caller may rely on:
//
//   - Only the configured URL is contacted, by https, ssh, a local path, or plain
//     http on the loopback interface. Credentials are never sent to another host.
//   - The first fetch is shallow: it brings one commit, not its history. Later
//     fetches are incremental; a shortened hash brings the whole history, once.
//   - A commit that the mirror has is complete there. What a crash leaves behind
//     is swept before the next fetch; a damaged mirror is fetched anew.
//   - A build runs in a fresh export with a fixed list of environment variables
//     and its own process group, none of which outlives the call.
//   - The same commit and recipe give the same artifact, which is kept by its
//     sha256 and written whole or not at all.
package source
