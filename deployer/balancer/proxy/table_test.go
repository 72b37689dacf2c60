package proxy

import "testing"

func TestSeveralUpAddressesShareTheLoad(t *testing.T) {
	p := serveProxy(t)
	a, b := named(t), named(t)
	p.route([]string{a.addr, b.addr})
	c := keeping(t)
	for range 20 {
		if _, err := post(c, p.url(), "x"); err != nil {
			t.Fatal(err)
		}
	}
	got := p.traffic().Counters
	if got[a.addr].Requests != 10 || got[b.addr].Requests != 10 {
		t.Errorf("shared %d to %d", got[a.addr].Requests, got[b.addr].Requests)
	}
}
