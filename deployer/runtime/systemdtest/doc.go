// Package systemdtest boots a real systemd for tests, as pid 1 of namespaces of
// its own on this machine.
//
// The one idea: the machine is this one with other clothes on. Its processes,
// mounts, /run, /dev, cgroups and units are its own; its files and its network
// are this machine's, so that a test dials what runs there and reads what it wrote.
//
// Guarantees:
//
//   - Nothing of this machine is changed: every file system is read-only inside,
//     but Machine.Dir. Of the distribution's units, generators and tmpfiles none is
//     there: nothing runs but systemd, journald and what the test starts.
//   - All of it is gone when the test ends, also when the test binary is killed.
//
// It takes root, and systemd and util-linux of the distribution. Where they are
// missing a test is skipped; with CI=true it fails.
package systemdtest
