package e2e

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// floor looks ten times a second how many machines of a fleet are in service:
// the SLB sends requests there, and the app answers its health check.
type floor struct {
	fleet   *fleet
	clients map[string]*http.Client
	began   time.Time
	stop    chan struct{}
	done    sync.WaitGroup

	mu      sync.Mutex
	samples int
	lowest  int
	why     string          // who was missing at the lowest
	left    map[string]bool // who was out of service at some moment
	trouble []string
}

// watchFloor looks until halt or the test's end.
func watchFloor(t *testing.T, f *fleet) *floor {
	t.Helper()
	w := &floor{fleet: f, clients: map[string]*http.Client{}, began: time.Now(), stop: make(chan struct{}), lowest: len(f.Hosts), left: map[string]bool{}}
	for _, m := range f.Hosts {
		w.clients[m.Name] = &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}}
	}
	w.done.Go(w.look)
	t.Cleanup(func() { w.halt() })
	return w
}

// look starts a sample every so often, whether the one before has ended or not.
func (w *floor) look() {
	tick := time.NewTicker(75 * time.Millisecond)
	defer tick.Stop()
	for {
		w.done.Go(w.sample)
		select {
		case <-w.stop:
			return
		case <-tick.C:
		}
	}
}

func (w *floor) sample() {
	at := time.Now()
	states, err := w.fleet.SLB.servers()
	if err != nil {
		w.record(at, nil, []string{"the SLB: " + err.Error()})
		return
	}
	var mu sync.Mutex
	var in, out []string
	var asked sync.WaitGroup
	for _, m := range w.fleet.Hosts {
		asked.Go(func() {
			why := states[m.Name]
			if why == "UP" {
				why = w.ask(m)
			}
			mu.Lock()
			defer mu.Unlock()
			if why == "" {
				in = append(in, m.Name)
			} else {
				out = append(out, m.Name+" "+why)
			}
		})
	}
	asked.Wait()
	slices.Sort(out)
	w.record(at, in, out)
}

// ask says what is wrong with the app of a machine that is up.
func (w *floor) ask(m *machine) string {
	res, err := w.clients[m.Name].Get("http://" + m.Addr + "/healthz")
	if err != nil {
		return err.Error()
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body) // the status is the answer
	if res.StatusCode != http.StatusOK {
		return res.Status
	}
	return ""
}

func (w *floor) record(at time.Time, in, out []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.samples++
	if len(in) < w.lowest {
		w.lowest = len(in)
		w.why = at.Format("15:04:05.000") + " " + strings.Join(out, ", ")
	}
	for _, o := range out {
		name, _, _ := strings.Cut(o, " ")
		w.left[name] = true
		if !strings.HasSuffix(o, " DOWN") && !strings.HasSuffix(o, " DRAIN") && !strings.HasSuffix(o, " MAINT") {
			w.trouble = append(w.trouble, at.Format("15:04:05.000 ")+o)
		}
	}
}

// mustHaveLeft wants each machine to have been out of service since the last time.
func (w *floor) mustHaveLeft(t *testing.T, machines ...*machine) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range machines {
		if !w.left[m.Name] {
			t.Errorf("%s was never out of service", m.Name)
		}
	}
	clear(w.left)
}

// halt ends the watch.
func (w *floor) halt() {
	w.mu.Lock()
	select {
	case <-w.stop:
	default:
		close(w.stop)
	}
	w.mu.Unlock()
	w.done.Wait()
	for _, c := range w.clients {
		c.CloseIdleConnections()
	}
}

func (w *floor) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	rate := float64(w.samples) / time.Since(w.began).Seconds()
	return fmt.Sprintf("never fewer than %d in service in %d samples (%.0f a second): %s", w.lowest, w.samples, rate, w.why)
}

// mustHold ends the watch and wants at least so many machines in service at
// every moment.
func (w *floor) mustHold(t *testing.T, least int) {
	t.Helper()
	w.halt()
	t.Log(w)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lowest < least {
		t.Errorf("%d machines were in service at %s, want at least %d", w.lowest, w.why, least)
		for _, line := range w.trouble[:min(len(w.trouble), 10)] {
			t.Log(line)
		}
	}
	if rate := float64(w.samples) / time.Since(w.began).Seconds(); rate < 10 {
		t.Errorf("the floor was looked at %.1f times a second, want 10", rate)
	}
}
