// Package e2e tests the built program from the outside: the real binary, real
// git, nginx, Tomcat, sshd and bbolt, real processes and real kill -9; only the
// chats are fakes, which refuse what the platforms refuse.
//
// The one idea: every scenario runs while users work. A load of keep-alive
// POSTs with idle gaps, of POSTs on a connection each and of long requests that
// are in flight at every switch counts each failure with its kind and moment,
// and repeats nothing by itself.
//
// A fleet is ten machines of the test's own: network, mounts, processes and name
// are namespaces, so that each has its loopback, its sshd, its nginx on port 80,
// its /run without any init system and its own folder at one and the same path,
// behind a real HAProxy. They need root.
//
// Guarantees: everything listens on the loopback interface or on a fleet's own
// network, which leads nowhere, lives in the test's own folder, and every process that a test started, or that was started on its
// behalf, is ended with the test.
package e2e
