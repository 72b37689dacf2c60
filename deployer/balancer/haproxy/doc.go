// Package haproxy drives HAProxy over its Runtime API: a host leaves traffic by
// `set server … state drain` and comes back by `state ready`.
//
// The one idea: HAProxy itself is the truth. A server is found in its answer by
// label or address, changed there, and looked up there; nothing is parsed out of
// haproxy.cfg and no reload is needed. Maintenance is never used: a server that
// comes back from it counts as up before any check.
//
// Guarantees: a Route touches no server but those of the step's targets, makes
// those ready that are to be up before it drains others, and drains nothing
// before HAProxy sends requests to the ones that take over. On an error
// what was in force is in force again, else the error is deploy.CodeHold; a step
// that was interrupted, by the caller or by a HAProxy that stopped answering, is
// put back where that is possible, and running it again converges. A server in maintenance, or of weight 0, is somebody's doing:
// it is never put into traffic (deploy.CodeDrift). Several sockets are several
// HAProxys before the same hosts: a host is up when all of them say so.
//
// A reload starts a new worker, which forgets what was drained. With state_file
// each Route writes there which servers are out, in the form of a
// server-state-file, and a haproxy.cfg that loads it brings the state back. Only
// the servers that are out stand in it: HAProxy takes port and health of every
// server in such a file from the file, not from its configuration, and the file
// may be old by then. The file is that of the process behind the first socket;
// processes with the same backends may share it.
//
// What HAProxy does not tell: after a reload, requests that the old worker still
// serves are not counted in flight. Sessions that are bound to a server, by
// cookie or a stick table, still go to it while it is drained; they are counted,
// so that a drain then lasts to its deadline. Cookies are told by Advise, stick
// tables cannot be seen.
package haproxy
