// Package e2e tests the built program from the outside: the real binary, real
// git, nginx, Tomcat, sshd and bbolt, real processes and real kill -9; only the
// chats are fakes, which refuse what the platforms refuse.
//
// The one idea: every scenario runs while users work. A load of keep-alive
// POSTs with idle gaps, of POSTs on a connection each and of long requests that
// are in flight at every switch counts each failure with its kind and moment,
// and repeats nothing by itself.
//
// Guarantees: everything listens on the loopback interface, lives in the test's
// own folder, and every process that a test started, or that was started on its
// behalf, is ended with the test.
package e2e
