// Package store remembers: the journal of every deploy, the queue, which
// requests were seen, the folded state of each environment, the notifier's
// letters and the nonces of verified requests, in one bbolt file.
//
// The one idea: everything that belongs together changes in one transaction, and
// transactions are shared. One goroutine owned by the Store takes every call
// that is waiting and commits them together, without a timer: a lone caller
// waits for nobody, and a crowd pays for one fsync.
//
// Guarantees.
//
//   - What a call acknowledged survives kill -9 and power loss (unless
//     Options.NoSync). What it refused left no trace.
//   - A call whose context ends either happened and says so, or did not happen.
//   - At most one deploy of an environment is claimed and not ended; taking it
//     from the queue and claiming it are one transaction.
//   - One process uses a folder: a lock file is held besides bbolt's own lock, and
//     writing ends as soon as the file at the path is not the open one any more.
//   - An emptied, cut, older or foreign database is refused with instructions,
//     never taken for a fresh start: a marker outside of it tells.
//   - Every record carries a checksum over its bucket, key and content. A bad one
//     is deploy.CodeDamaged for that item and hides no other.
//   - No bbolt transaction is held while waiting or doing other I/O. The Store
//     uses one goroutine, channels and mutexes, no timer and no polling.
//
// Calls return a *deploy.Error. Besides the codes that each one names, all may
// return deploy.CodeDamaged, deploy.CodeUnavailable (closed, wrapping ErrClosed,
// or no space left: try again) and, where they take a context, its end.
// Values that are returned share memory with the Store: read them only.
package store
