// Package process starts, observes and stops one detached process of a slot on
// a host that is reached through deployer.Host only.
//
// The one idea: a process is known by its pid together with the kernel's start
// time and the boot it belongs to, written to the slot's folder by the very
// shell that then becomes the program. At any instant there is either no
// process or a recorded one, and a pid that was given to a stranger never
// passes for ours.
//
// Under Systemd the slot's shell is started by a unit that ipublish writes
// (ipublish-APP-ENV-SLOT.service, see package unit), and by the same unit after a
// failure of the program and, where it was enabled, after a reboot; each time it
// writes the record anew, so that a process of a unit is known as every other is.
// A unit begins with a script that Start leaves in the slot's folder and Stop
// takes away: what was stopped stays stopped, also over a reboot. Stop and Observe
// find a process whoever its supervisor is; a change of supervisor takes effect
// at the next start.
//
// Every call is one fixed POSIX sh script with positional arguments, or two;
// nothing of a configuration or a release is ever read as shell text. A host
// needs Linux, sh, setsid of util-linux, and cat, ls, awk, tail, tr, wc, grep
// and mv of coreutils or busybox; flock is used where it is installed. For a program
// of another user than the host's commands it needs root, and setpriv of
// util-linux.
//
// Guarantees:
//
//   - Start, Stop and Observe may be killed at any instant and repeated. Two
//     Starts at once leave one process, and a Start that was orphaned by a lost
//     connection gives up waiting for the slot after five seconds.
//   - The process has a session of its own, no descriptor of ours, a clean
//     environment, and outlives this program and its connection.
//   - The program's environment travels on standard input and lies in a file of
//     mode 0600: never in an argv. It comes into force in the program alone: no
//     LD_PRELOAD of it is ever obeyed as root.
//   - A program of another user cannot change what is recorded of it, nor its
//     release: it may read both folders.
//   - Only the recorded process, its tree and its session are signalled. A
//     foreign process on the port is named and left alone.
//
// The slot's folder (Step.Home) holds: instance (the record), env, log, log.1,
// lock, and while a stop is under way, stopping; for a unit besides run, the script
// that it begins with, and told, what that came to. A record of another boot counts
// for nothing, so that only Enable syncs what the next boot needs.
package process
