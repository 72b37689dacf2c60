// Package slbtest is Aliyun's Classic Load Balancer in a process of a test: the
// API that reads and changes vServer groups, with the faults that the real one
// has, and a front that distributes requests by the weights it was given.
//
// The one idea: a fake that believes nothing. It verifies each signature with a
// reading of the documented rules of its own, byte by byte, refuses a nonce that
// it has seen and a clock that is off, and keeps the limits of the pages; what a
// driver gets wrong fails here as it would there.
//
// What it can be told: to throttle, to be busy, to answer any error of the
// pages; to answer success and change nothing; to let a change be readable, and
// guide the front, only later; to be silent; to report a server's health as
// normal, abnormal or unavailable. Where a group has a Check, the fake checks the
// servers itself.
//
// Facts are from the pages "Request signatures", "Error codes",
// "SetVServerGroupAttribute", "DescribeVServerGroupAttribute",
// "DescribeHealthStatus" and "FAQ about health checks" (a server of weight 0
// looks abnormal to a TCP listener, and as it is to an HTTP one).
//
// Guarantees: everything listens on loopback and ends with the test. Nothing
// waits in the background but health checks, which the fake joins.
package slbtest
