package bot

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"ipublish/deploy"
)

// ledger counts the transactions of the outbox, which it can fail, and the events
// that are read.
type ledger struct {
	*memory
	enqueued atomic.Int64
	tailed   atomic.Int64 // events
	failing  atomic.Bool
}

func (l *ledger) Enqueue(reader string, seq uint64, letters []deploy.Letter) error {
	if l.failing.Load() {
		return errors.New("the disk is full")
	}
	l.enqueued.Add(1)
	return l.memory.Enqueue(reader, seq, letters)
}

func (l *ledger) Tail(ctx context.Context, afterSeq uint64, limit int) ([]deploy.Event, error) {
	events, err := l.memory.Tail(ctx, afterSeq, limit)
	l.tailed.Add(int64(len(events)))
	return events, err
}

func (f *telling) cursor() uint64 {
	seq, _ := f.m.Cursor(reader)
	return seq
}

// counted restarts the notifier with a ledger, for chats or for nobody.
func (f *telling) counted(chats map[string]Chat) *ledger {
	f.stop()
	l := &ledger{memory: f.m}
	f.n.Outbox, f.n.Tail, f.n.Chats = l, l, chats
	f.start()
	return l
}

func TestEventsThatNobodyIsToldOfCostNoTransactionEach(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		l := f.counted(nil)
		for i := range 50 {
			submitted(t, f.m, shopProd, fmt.Sprint(i)).ended(deploy.Superseded)
			synctest.Wait()
		}
		if n := l.enqueued.Load(); n != 0 {
			t.Errorf("%d transactions", n)
		}
		time.Sleep(stillness + time.Second)
		synctest.Wait()
		if l.enqueued.Load() != 1 || f.cursor() != 100 {
			t.Errorf("after a rest %d transactions, at %d", l.enqueued.Load(), f.cursor())
		}
		time.Sleep(time.Hour)
		if n := l.enqueued.Load(); n != 1 {
			t.Errorf("after an hour of rest %d transactions", n)
		}
	})
}

func TestWhatIsToldToNobodyIsNotRead(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.stop()
		for i := range 50 {
			submitted(t, f.m, shopProd, fmt.Sprint(i)).ended(deploy.Superseded)
		}
		l := f.counted(nil)
		synctest.Wait()
		if n := l.tailed.Load(); n != 0 {
			t.Errorf("%d events were read", n)
		}
	})
}

func TestTheWayThroughTheJournalIsKeptAtTheEndOfARun(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.counted(nil)
		submitted(t, f.m, shopProd, "k")
		synctest.Wait()
		f.stop()
		if f.cursor() != 1 {
			t.Errorf("at %d", f.cursor())
		}
	})
}

func TestWithoutRestTheCursorLagsAFewBatchesAtMost(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.counted(nil)
		for i := range longestLag + tailBatch {
			submitted(t, f.m, shopProd, fmt.Sprint(i))
			synctest.Wait()
			if seq := uint64(len(f.m.events)); seq-f.cursor() > longestLag {
				t.Fatalf("at %d of %d", f.cursor(), seq)
			}
		}
	})
}

func TestAFailedTransactionLosesNoLetter(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		l := f.counted(f.n.Chats)
		l.failing.Store(true)
		submitted(t, f.m, shopProd, "k")
		f.settle()
		if len(f.slack.told()) != 0 {
			t.Errorf("told %q", statuses(f.slack.told()))
		}
		l.failing.Store(false)
		f.settle()
		time.Sleep(maxPause)
		synctest.Wait()
		wantStatuses(t, f.slack.told(), "queued")
	})
}
