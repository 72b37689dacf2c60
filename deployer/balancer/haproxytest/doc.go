// Package haproxytest starts a real HAProxy of a test's own: master and worker,
// own folder, front door, stats sockets and state file, one backend.
//
// The one idea: what a team has, small. The sockets are level admin, a reload is
// the signal that systemd's unit sends to the master, and the state file is read
// at each start once somebody wrote it.
//
// Guarantees: Start returns when the front door and the sockets answer; Reload
// when the new worker does. The processes end with the test. Without haproxy a
// test is skipped, and fails where CI=true.
package haproxytest
