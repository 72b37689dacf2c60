// Package deploy is the language of ipublish: App, Environment, Release,
// Request, Plan, Step, Event and State, and the pure functions over them.
//
// The one idea: a deploy is an append-only list of events. Fold gives the state
// of one deploy, FoldEnv the state of one environment; planners turn a request
// into a Plan, a list of steps that each state a truth about the world.
//
// Guarantees: the package imports the standard library only, performs no I/O,
// starts no goroutine, reads no clock and keeps no package state. Every value
// marshals to JSON and back unchanged, except fields that are marked as bound
// at execution, which never leave the process.
package deploy
