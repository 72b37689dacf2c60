// Package storetest is the contract of a store, as tests that any
// implementation runs with one call of Run.
//
// The one idea: what the engine and the bot rely on is written down as behaviour,
// not as the form of one database. A store may keep its data as it likes.
//
// Guarantees: the suite opens every store in a folder (or name space) of its own,
// reopens it where durability is meant, and waits on events only.
package storetest
