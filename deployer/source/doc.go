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
//   - A folder of build.cache is copied into a build, and kept from it only when
//     it has succeeded: no build sees another one's half-done work, and none is
//     harmed by a lost cache. Within a tree artifact it is part of that, as it
//     would be without a cache: a build that must not ship what an older one left
//     cleans it (npm ci, npm prune) or caches the tool's downloads (~/.npm) only.
//   - A build section with artifact_url is CI's: its file is downloaded, waited
//     for, and checked where sha256_url is given. The headers go to that URL's
//     scheme, host and port only; a redirect elsewhere is followed without them,
//     over https, or over plain http where the configured URL is plain http.
//   - The same commit and recipe give the same artifact, which is kept by its
//     sha256 and written whole or not at all.
package source
