// Package nginx drives an open source nginx through one include file that
// ipublish owns: the upstream of an environment, and a loopback server that
// answers which generation of that upstream is in use.
//
// The one idea: nginx's exit codes prove nothing, so every switch is verified
// by nginx itself. A switch counts when the loopback server answers the new
// generation and no worker that is older than the reload accepts connections
// any more.
//
// Guarantees: the file is replaced whole or not at all, and only when it is
// byte for byte what ipublish left there (else deploy.CodeDrift, nothing
// written). The same table and settings give the same bytes. Nothing but
// validated host:port values, names and directives enters the file. After a
// failed switch the bytes and the table from before are in force again, or the
// error is deploy.CodeHold. A switch that was interrupted (deploy.CodeCancelled,
// deploy.CodeUnavailable, a crash) leaves the old or the new file, and
// routing again, to either table, converges.
//
// Taking over a team's own nginx is the first switch of an environment. Their
// files are read, as nginx -T prints them, and never written: the refusal names
// each place that keeps requests from going through ipublish, by file and line,
// and what to write there. The include file is in place by then, unused, so that
// their edit is one step which anybody may test and reload. That reload, like
// any of nginx, closes idle keep-alive connections.
//
// An upstream with a server that is down is to nginx one of several servers: by
// its own default it gives up on the only one that is up for 10 s after a single
// failed attempt. server_params: weight=1 max_fails=0 turns that off.
//
// nginx runs on a Linux host of any driver; commands, files and the generation
// answer go through deployer.Host. To see connections in flight apart from
// other programs' the host's user needs to read the workers' /proc entries
// (root, or nginx's own user); else every connection from that host to the
// address is counted.
package nginx
