package store

import (
	"encoding/binary"
	"strings"

	"ipublish/deploy"
)

// schemaVersion is the form of the database that this binary writes. It reads
// every earlier one. 2: records of what was watched, releases remembered apart.
const schemaVersion = 2

// The buckets, with key → content. Numbers are big-endian, so that they sort.
const (
	bucketMeta    = "meta"    // name → JSON
	bucketJournal = "journal" // Seq → event
	bucketIndex   = "index"   // deploy, N → Seq
	bucketDeploys = "deploys" // deploy → summary; until it ended only N
	bucketTargets = "targets" // target, deploy → nothing
	bucketEnv     = "env"     // target → Live without hosts and memory; target, host → HostState; target and no host → memory
	bucketQueue   = "queue"   // deploy → target
	bucketSeen    = "seen"    // request key → deploy
	bucketCursors = "cursors" // reader → Seq
	bucketOutbox  = "outbox"  // deploy, channel → Letter
	bucketPending = "pending" // deploy, channel → nothing
	bucketNonces  = "nonces"  // key → expiry
	bucketExpiry  = "expiry"  // expiry, key → nothing
)

func buckets() []string {
	return []string{
		bucketMeta, bucketJournal, bucketIndex, bucketDeploys, bucketTargets, bucketEnv, bucketQueue,
		bucketSeen, bucketCursors, bucketOutbox, bucketPending, bucketNonces, bucketExpiry,
	}
}

// Names in the meta bucket.
const (
	metaSchema   = "schema"
	metaInstall  = "install"
	metaCounters = "counters"
	metaGaps     = "gaps"   // numbers left out after an accepted loss
	metaQueued   = "queued" // how many deploys are in the queue
)

// counters are the last numbers given.
type counters struct {
	ID  deploy.ID `json:"id"`
	Seq uint64    `json:"seq"`
}

// atLeast raises both numbers to those of o.
func (c counters) atLeast(o counters) counters {
	return counters{ID: max(c.ID, o.ID), Seq: max(c.Seq, o.Seq)}
}

// gap is a range of Seq that was never given: After < Seq <= To.
type gap struct {
	After uint64 `json:"after"`
	To    uint64 `json:"to"`
}

func numberKey(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

func number(b []byte) (uint64, bool) {
	if len(b) != 8 {
		return 0, false
	}
	return binary.BigEndian.Uint64(b), true
}

// leading reads the number that a longer key starts with; 0 if it is too short.
func leading(key []byte) uint64 {
	if len(key) < 8 {
		return 0
	}
	return binary.BigEndian.Uint64(key)
}

func deployKey(id deploy.ID) []byte { return numberKey(uint64(id)) }

func indexKey(id deploy.ID, n uint64) []byte {
	return binary.BigEndian.AppendUint64(deployKey(id), n)
}

func letterKey(id deploy.ID, channel string) []byte { return append(deployKey(id), channel...) }

func expiryKey(until uint64, key string) []byte { return append(numberKey(until), key...) }

func targetKey(t deploy.Target) []byte { return []byte(t.App + "\x00" + t.Env) }

// targetPrefix begins the keys of a target's deploys.
func targetPrefix(t deploy.Target) []byte { return append(targetKey(t), 0) }

func targetDeployKey(t deploy.Target, id deploy.ID) []byte {
	return append(targetPrefix(t), deployKey(id)...)
}

func parseTargetKey(key []byte) deploy.Target {
	app, env, _ := strings.Cut(string(key), "\x00")
	return deploy.Target{App: app, Env: env}
}
