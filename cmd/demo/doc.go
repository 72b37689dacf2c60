// Package demo shows the product on a bare machine: a real installation in a
// folder of its own, users who never stop, a release that none of them notices,
// and a bad one that is taken back by itself.
//
// The one idea: nothing is staged. The server is `ipublish serve` as a process
// of its own, the proxy and the sample app are the processes that it starts, the
// push is a git push that leads to a signed webhook, and what the terminal says
// comes from the journal and from the users' own count.
//
// Guarantees: only loopback addresses, no rights, no network and no program but
// go; whatever way Run ends, no process that it caused is left; every promise
// of the show is checked, and one that did not hold is named in Run's error.
package demo
