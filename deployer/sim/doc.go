// Package sim is a virtual world for the engine: machines with processes on
// ports, a balancer, a front door, a git remote and a build, with faults by
// seed and a crash at any boundary. Tests only.
//
// The one idea: the real engine and the real store run against this world in a
// testing/synctest bubble, and the checker judges the world, never the bot's
// belief about it.
//
// Guarantees: every fake owns its random source, derived from the seed and its
// name, so that one seed gives one history; after every effect the invariants
// of traffic (serve, floor, gate, drain, no harm) and of the journal
// (write-ahead, one at a time) are checked, after every record what it claims
// (identity, verified switch, known file), and at the end what is left (serving,
// retained releases, leases); each violation is recorded with the moment it
// happened.
package sim
