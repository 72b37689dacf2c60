// Package nginxtest starts a real nginx of a test's own: own folder, ports, pid
// file and log, one front door that proxies to an upstream, and an include
// folder for what a balancer driver writes.
//
// The one idea: the front door needs its upstream before ipublish ever wrote
// it, as in real life. The first start therefore loads an upstream from the
// include file and removes that file again: nginx keeps serving what it has
// loaded, and the driver finds no file.
//
// Guarantees: Start returns when the front door listens; the processes end with
// the test. Without nginx a test is skipped, and fails where CI=true.
package nginxtest
