// Package sshtest runs a real sshd for tests, on a loopback address of its own,
// as the user who runs the test.
//
// The one idea: the server shares files and ports with the test, so that a test
// can look at the effect of what it did over ssh.
//
// Guarantees: everything lives in the test's temporary folder; every process of
// the server and of its sessions is ended when the test ends.
package sshtest
