// Package drivertest holds the contracts of the deployer's driver families, as
// test suites: Host, Runtime and Balancer.
//
// The one idea: a driver is finished when its test is one call of its family's
// suite against the real thing. Each suite checks that twice is once, that a
// cancelled context returns promptly, that what was killed half-way converges
// when it is repeated, that the evidence before and after is true, and that
// every error carries a code.
//
// Guarantees: a suite looks at the world with its own eyes (processes, sockets,
// files, requests of its own), never only with the driver's; what it started
// ends with the test.
package drivertest
