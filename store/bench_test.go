package store_test

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
	"ipublish/store"
)

// pushes gives requests as many repositories of a busy server would.
func pushed(i int64) deploy.Request {
	return deploy.Request{
		App: fmt.Sprintf("app%d", i%100), Env: "production", Want: deploy.WantDeploy, Ref: "refs/heads/main",
		Commit: fmt.Sprintf("%040x", i), Title: "Fix the basket", Author: "Ada", Auto: true,
		Key: fmt.Sprintf("github:72d3162e-cc78-11e3-81ab-%012x", i), By: deploy.Actor{ID: "push:github"},
	}
}

func BenchmarkSubmitByACrowdOf64(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	var n atomic.Int64
	b.SetParallelism(32) // of 2 processors
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, _, err := s.Submit(context.Background(), pushed(n.Add(1))); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}

func BenchmarkSubmitAlone(b *testing.B) {
	s, err := store.Open(b.TempDir(), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range b.N {
		if _, _, err := s.Submit(context.Background(), pushed(int64(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOneUpdateEachByACrowdOf64 is the yardstick: the same number of keys
// and about the same bytes, each caller with a transaction of its own.
func BenchmarkOneUpdateEachByACrowdOf64(b *testing.B) {
	db, err := bolt.Open(b.TempDir()+"/yardstick.db", 0o600, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var n atomic.Int64
	b.SetParallelism(32)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			key := fmt.Appendf(nil, "%020d", n.Add(1))
			err := db.Update(func(tx *bolt.Tx) error {
				for i, size := range []int{1200, 20, 30, 20, 12, 300, 60} {
					bucket, err := tx.CreateBucketIfNotExists(fmt.Appendf(nil, "b%d", i))
					if err == nil {
						err = bucket.Put(key, make([]byte, size))
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "submits/s")
}

func BenchmarkOpenOfANewSimulatedStore(b *testing.B) {
	for range b.N {
		s, err := store.Open(b.TempDir(), store.Options{NoSync: true})
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
	}
}

// BenchmarkOneHundredThousandDeploys measures a start and the lists of a server
// with a long history.
func BenchmarkOneHundredThousandDeploys(b *testing.B) {
	const deploys = 100_000
	dir := b.TempDir()
	fill(b, dir, deploys)
	b.Run("open and close", func(b *testing.B) {
		for range b.N {
			s, err := store.Open(dir, store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	s, err := store.Open(dir, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	target := deploy.Target{App: "app7", Env: "production"}
	for name, t := range map[string]*deploy.Target{"history of all": nil, "history of one": &target} {
		b.Run(name, func(b *testing.B) {
			for range b.N {
				states, err := s.History(t, deploys/2, 50)
				if err != nil || len(states) != 50 {
					b.Fatal(len(states), err)
				}
			}
		})
	}
	b.Run("state", func(b *testing.B) {
		for i := range b.N {
			if _, err := s.State(deploy.ID(i%deploys + 1)); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkRoll journals whole deploys of fleets, one host at a time, and
// measures what one host of them takes.
func BenchmarkRoll(b *testing.B) {
	for _, hosts := range []int{10, 100, 1000} {
		b.Run(strconv.Itoa(hosts), func(b *testing.B) {
			s, err := store.Open(b.TempDir(), store.Options{NoSync: true})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			env := fleet(hosts)
			rollOut(b, s, env, 0)
			began := processorTime()
			b.ResetTimer()
			for i := range b.N {
				rollOut(b, s, env, i+1)
			}
			each := float64(b.N * hosts)
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/each, "ns/host")
			b.ReportMetric(float64(processorTime()-began)/each, "cpu-ns/host")
		})
	}
}

// processorTime is what this process has used so far: on a machine that others
// use too it tells more than the time on the clock.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

func fill(b *testing.B, dir string, deploys int64) {
	b.Helper()
	s, err := store.Open(dir, store.Options{NoSync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	for i := range deploys {
		if _, _, err := s.Submit(context.Background(), pushed(i)); err != nil {
			b.Fatal(err)
		}
	}
}
