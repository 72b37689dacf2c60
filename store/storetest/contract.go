package storetest

import (
	"context"
	"testing"
	"time"

	"ipublish/deploy"
)

// Store is what the engine and the bot need of a store. The methods' meaning is
// written at ipublish/store.Store; the suite is the arbiter.
type Store interface {
	Submit(ctx context.Context, r deploy.Request) (id deploy.ID, fresh bool, err error)
	Claim(ctx context.Context, admit deploy.Admit) (deploy.ID, error)
	Wake()
	Events(ctx context.Context, id deploy.ID, afterN uint64) ([]deploy.Event, error)
	Append(id deploy.ID, afterN uint64, ev deploy.Event) error

	State(id deploy.ID) (deploy.State, error)
	Live(t deploy.Target) (deploy.Live, error)
	Lives() ([]deploy.Live, error)
	Waiting(t deploy.Target) ([]deploy.State, error)
	Active() ([]deploy.ID, error)
	History(t *deploy.Target, before deploy.ID, limit int) ([]deploy.State, error)
	Tail(ctx context.Context, afterSeq uint64, limit int) ([]deploy.Event, error)
	LastSeq() uint64

	Enqueue(reader string, seq uint64, letters []deploy.Letter) error
	Sent(l deploy.Letter) error
	Pending() ([]deploy.Letter, error)
	Letter(id deploy.ID, channel string) (deploy.Letter, error)
	Cursor(reader string) (uint64, error)

	Remember(key string, until time.Time) (fresh bool, err error)
	Close() error
}

// Open opens the store that lives in dir; the same dir after Close gives the same
// store. now is the wall clock to use.
type Open func(t *testing.T, dir string, now func() time.Time) Store

// Run runs the contract.
func Run(t *testing.T, open Open) {
	t.Helper()
	suites := map[string]func(*testing.T, Open){
		"intake":    testIntake,
		"queue":     testQueue,
		"claim":     testClaim,
		"asking":    testAsking,
		"verdicts":  testVerdicts,
		"journal":   testJournal,
		"legality":  testLegality,
		"following": testFollowing,
		"history":   testHistory,
		"outbox":    testOutbox,
		"nonces":    testNonces,
		"closing":   testClosing,
	}
	for name, suite := range suites {
		t.Run(name, func(t *testing.T) { suite(t, open) })
	}
}
