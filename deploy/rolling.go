package deploy

import "fmt"

// Rolling is the strategy that replaces the release on the hosts themselves, a
// few at a time: out of traffic, drain, replace, check, back into traffic.
type Rolling struct {
	Port             int       `json:"port"`
	MaxParallel      int       `json:"max_parallel"`                // hosts that are out of traffic at once by ipublish's doing
	MinHealthy       int       `json:"min_healthy"`                 // hosts that stay healthy and in traffic: the floor
	Batches          []Share   `json:"batches,omitempty"`           // cumulative shares of all hosts; empty: one batch of all
	BakeTime         Duration  `json:"bake_time,omitempty"`         // between batches and after the last one
	OnHostFailure    OnFailure `json:"on_host_failure"`             // judges a release that fails on a host
	MaxFailedHosts   int       `json:"max_failed_hosts,omitempty"`  // hosts that may be left behind before a person is needed
	UnreachableAfter Duration  `json:"unreachable_after,omitempty"` // a host that does not answer for so long counts as failed
}

// OnFailure is what follows when the release fails on a host.
type OnFailure string

// The answers to a release that fails on a host.
const (
	OnFailureRevert OnFailure = "revert" // every touched host goes back to the old release
	OnFailureStop   OnFailure = "stop"   // the deploy is held as it stands, for a person
	OnFailureSkip   OnFailure = "skip"   // the host stays out of traffic, within max_failed_hosts
)

// Share is a number of hosts: as such, or in percent of all.
type Share struct {
	Hosts   int `json:"hosts,omitempty"`
	Percent int `json:"percent,omitempty"`
}

// Of returns how many of n hosts the share is: percents are rounded down; at
// least one and at most all.
func (s Share) Of(n int) int {
	of := s.Hosts
	if s.Percent > 0 {
		of = n * s.Percent / 100
	}
	return min(max(of, 1), n)
}

// String gives the share as the configuration has it: "2" or "10%".
func (s Share) String() string {
	if s.Percent > 0 {
		return fmt.Sprintf("%d%%", s.Percent)
	}
	return fmt.Sprint(s.Hosts)
}
