package proxy

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

// timed answers after the time that the path names, with the status that it names.
func timed(t *testing.T) *app {
	t.Helper()
	return startApp(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/slow":
			<-time.After(300 * time.Millisecond)
		case "/piecemeal":
			_, _ = io.WriteString(w, "one")
			_ = http.NewResponseController(w).Flush()
			<-time.After(300 * time.Millisecond)
			_, _ = io.WriteString(w, "two")
		case "/error":
			w.WriteHeader(http.StatusInternalServerError)
		case "/silent":
			panic(http.ErrAbortHandler)
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "some")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
}

// counted waits until nothing is in flight and tells of one address.
func (p *served) counted(addr string) deploy.Counter {
	p.t.Helper()
	var got deploy.Traffic
	eventually(p.t, "nothing is in flight", func() bool { got = p.traffic(addr); return got.InFlight[addr] == 0 })
	return got.Counters[addr]
}

func TestHowLongAnAnswerTookIsCountedFromTheHeadOfTheRequestToTheAnswersEnd(t *testing.T) {
	for path, slow := range map[string]bool{"/": false, "/error": false, "/slow": true, "/piecemeal": true} {
		p := serveProxy(t)
		a := timed(t)
		p.route([]string{a.addr})
		_, _ = post(fresh(t), p.url()+path, "x")
		got := p.counted(a.addr)
		took := got.Latency.Quantile(0.5)
		if got.Latency.Count() != 1 || took == 0 || took > time.Minute || (took >= 300*time.Millisecond) != slow {
			t.Errorf("%s: counted %+v, which is %s", path, got, took)
		}
	}
}

func TestATricklingUploadIsPartOfTheTimeThatItsAnswerTook(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	reader, writer := io.Pipe()
	go func() {
		<-time.After(300 * time.Millisecond)
		_, _ = io.WriteString(writer, "late")
		_ = writer.Close()
	}()
	if _, err := answerOf(fresh(t).Post(p.url(), "text/plain", reader)); err != nil {
		t.Fatal(err)
	}
	if took := p.counted(a.addr).Latency.Quantile(0.5); took < 300*time.Millisecond {
		t.Errorf("it took %s", took)
	}
}

func TestTheTimeIsCountedAtTheAddressThatGaveTheAnswer(t *testing.T) {
	p := serveProxy(t)
	dead, spare := named(t), named(t)
	p.route([]string{dead.addr}, spare.addr)
	dead.kill()
	for range 3 {
		if _, err := post(fresh(t), p.url(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	if at, elsewhere := p.counted(spare.addr).Latency.Count(), p.counted(dead.addr).Latency.Count(); at != 3 || elsewhere != 0 {
		t.Errorf("%d at the spare, %d at the dead", at, elsewhere)
	}
}

func TestWhatWasNotAnsweredAndWhatHasNoEndHasNoTime(t *testing.T) {
	p := serveProxy(t)
	a, endless := timed(t), echo(t)
	p.route([]string{a.addr})
	for _, path := range []string{"/silent", "/cut"} {
		if _, err := post(fresh(t), p.url()+path, "x"); err == nil {
			t.Errorf("%s was answered", path)
		}
	}
	leaving := fresh(t)
	leaving.Timeout = 50 * time.Millisecond
	if _, err := post(leaving, p.url()+"/slow", "x"); err == nil {
		t.Error("the client stayed")
	}
	p.route([]string{endless.addr})
	conn := dialWebSocket(t, p.listen)
	events := follow(t, p.url()+"/events")
	_ = conn.Close()
	p.route([]string{a.addr})
	if err := p.driver().Route(t.Context(), drainOf(a.addr, endless.addr, 0)); err != nil {
		t.Fatal(err)
	}
	if err := <-events; err != nil {
		t.Error(err)
	}
	for _, addr := range []string{a.addr, endless.addr} {
		if got := p.counted(addr); got.Requests < 2 || got.Latency != nil {
			t.Errorf("counted %+v", got)
		}
	}
}

func TestTheStatusTellsOnlyTheBucketsThatHaveSomething(t *testing.T) {
	p := serveProxy(t)
	a := named(t)
	p.route([]string{a.addr})
	told := func() string {
		var all []json.RawMessage
		if err := newClient(p.socket).call(t.Context(), http.MethodGet, "/v1/routes", nil, &all); err != nil || len(all) != 1 {
			t.Fatalf("%d routes, %v", len(all), err)
		}
		return string(all[0])
	}
	if got := told(); strings.Contains(got, "latency") {
		t.Errorf("before the first answer: %s", got)
	}
	watched := p.watch()
	if _, err := post(fresh(t), p.url(), "x"); err != nil {
		t.Fatal(err)
	}
	if n := len(p.counted(a.addr).Latency); n != 1 {
		t.Errorf("%d buckets for one answer: %s", n, told())
	}
	until(t, watched, func(t deploy.Traffic) bool { return t.Counters[a.addr].Latency.Count() == 1 })
}

func TestTheTimesAddUpWithAnEldersAndOutliveIt(t *testing.T) {
	p := serveProxy(t)
	a := timed(t)
	p.route([]string{a.addr})
	kept := keeping(t)
	if _, err := post(kept, p.url(), "x"); err != nil {
		t.Fatal(err)
	}
	slow := make(chan error, 1)
	go func() {
		_, err := post(fresh(t), p.url()+"/slow", "x")
		slow <- err
	}()
	eventually(t, "it is in flight", func() bool { return p.traffic().InFlight[a.addr] == 1 })
	next := p.replaced()
	if n := next.traffic().Counters[a.addr].Latency.Count(); n != 1 {
		t.Errorf("%d times at the handover, want the one of before", n)
	}
	if err := <-slow; err != nil { // through the elder
		t.Error(err)
	}
	if _, err := post(fresh(t), next.url(), "x"); err != nil {
		t.Fatal(err)
	}
	whole := func() bool {
		l := next.counted(a.addr).Latency
		return l.Count() == 3 && l.Quantile(0.99) >= 300*time.Millisecond && l.Quantile(0.3) < 300*time.Millisecond
	}
	eventually(t, "both are told", whole)
	kept.CloseIdleConnections()
	if err := <-p.ended; err != nil {
		t.Error(err)
	}
	p.ended <- nil
	eventually(t, "the elder's are kept", whole)
}
