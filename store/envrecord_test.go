package store_test

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"ipublish/deploy"
	"ipublish/store"
)

// records are the keys of the bucket of environments, with their zero bytes as
// slashes, and what they hold.
func records(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	update(t, dir, func(tx *bolt.Tx) error {
		return tx.Bucket([]byte("env")).ForEach(func(k, v []byte) error {
			out[strings.ReplaceAll(string(k), "\x00", "/")] = string(v[4:])
			return nil
		})
	})
	return out
}

func TestEveryHostOfAFleetHasARecordThatOutlivesTheProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(3), 1)
	want, err := s.Live(fleetTarget())
	must(t, err)
	if want.Hosts.Len() != 3 || want.Hosts.Get("web-2").Release.Commit.SHA == "" || want.Hosts.Get("web-2").Out != nil {
		t.Fatalf("after a deploy: %+v", want.Hosts.Get("web-2"))
	}
	must(t, s.Close())
	all := records(t, dir)
	if got := keysOf(all); !slices.Equal(got, []string{"shop/production", "shop/production/", "shop/production/web-1", "shop/production/web-2", "shop/production/web-3"}) {
		t.Errorf("the records are %v", got)
	}
	if strings.Contains(all["shop/production"], "web-2") {
		t.Errorf("the environment's own record grows with its hosts: %s", all["shop/production"])
	}
	s = open(t, dir, store.Options{NoSync: true})
	got, err := s.Live(fleetTarget())
	must(t, err)
	if asText(t, got) != asText(t, want) {
		t.Errorf("read again it is\n%s, and was\n%s", asText(t, got), asText(t, want))
	}
}

func TestTheLedgerOutlivesTheProcessInTheMiddleOfARoll(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(2), 1)
	r := begin(t, s, fleet(2), 2)
	r.until(deploy.OpOut)
	r.start() // the process dies before the effect
	must(t, s.Close())
	s = open(t, dir, store.Options{NoSync: true})
	live, err := s.Live(fleetTarget())
	must(t, err)
	out := live.Hosts.Get("web-1").Out
	if out == nil || out.Deploy != r.id || out.By.ID != "slack:U1" || live.Hosts.Get("web-2").Out != nil {
		t.Fatalf("the ledger is %+v", out)
	}
	r.s = s
	r.done()
	r.until(deploy.OpDrain)
	if st, err := s.State(r.id); err != nil || st.Next == 0 {
		t.Errorf("it does not go on: %+v, %v", st, err)
	}
}

func TestOnlyTheHostsOfAnEventAreWritten(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(3), 1)
	must(t, s.Close())
	before := records(t, dir)
	s = open(t, dir, store.Options{NoSync: true})
	r := begin(t, s, fleet(3), 2)
	r.until(deploy.OpOut)
	r.start()
	must(t, s.Close())
	var changed []string
	for key, now := range records(t, dir) {
		if before[key] != now {
			changed = append(changed, key)
		}
	}
	slices.Sort(changed)
	if !slices.Equal(changed, []string{"shop/production", "shop/production/web-1"}) {
		t.Errorf("taking web-1 out wrote %v", changed)
	}
}

func TestWhatIsRememberedOfReleasesIsWrittenOnlyWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	for commit := range 60 {
		rollOut(t, s, fleet(1), commit+1)
	}
	must(t, s.Close())
	before := records(t, dir)
	if own, memory := len(before["shop/production"]), len(before["shop/production/"]); own > 2000 || memory < 5*own {
		t.Errorf("the environment's own record has %d bytes, its memory %d", own, memory)
	}
	s = open(t, dir, store.Options{NoSync: true})
	r := begin(t, s, fleet(1), 61)
	r.until(deploy.OpCheck)
	must(t, s.Close())
	if after := records(t, dir); after["shop/production/"] != before["shop/production/"] || after["shop/production"] == before["shop/production"] {
		t.Error("in the middle of a deploy the memory was written, or the environment was not")
	}
	s = open(t, dir, store.Options{NoSync: true})
	r.s = s
	r.all()
	want, err := s.Live(fleetTarget())
	must(t, err)
	must(t, s.Close())
	s = open(t, dir, store.Options{NoSync: true})
	got, err := s.Live(fleetTarget())
	must(t, err)
	if len(got.Good) != 50 || got.Good[0].Release.Commit.SHA != commitOf(61) || asText(t, got) != asText(t, want) {
		t.Errorf("read again it is\n%s, and was\n%s", asText(t, got), asText(t, want))
	}
}

func TestAnEnvironmentThatWasStoredInOneRecordIsReadAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(2), 1)
	rollOut(t, s, fleet(2), 2)
	want, err := s.Live(fleetTarget())
	must(t, err)
	must(t, s.Close())
	whole := want
	whole.Hosts = deploy.Roster{}
	rewrite(t, dir, "env", []byte("shop\x00production"), func([]byte) []byte {
		return []byte(strings.TrimSuffix(asText(t, whole), "}") + `,"host_count":2}`)
	})
	update(t, dir, func(tx *bolt.Tx) error { return tx.Bucket([]byte("env")).Delete([]byte("shop\x00production\x00")) })
	s = open(t, dir, store.Options{NoSync: true})
	got, err := s.Live(fleetTarget())
	must(t, err)
	if asText(t, got) != asText(t, want) {
		t.Errorf("read it is\n%s, and was\n%s", asText(t, got), asText(t, want))
	}
	begin(t, s, fleet(2), 3).until(deploy.OpOut)
	must(t, s.Close())
	if all := records(t, dir); !strings.Contains(all["shop/production/"], commitOf(1)) || strings.Contains(all["shop/production"], `"good"`) {
		t.Errorf("its next event left %v", keysOf(all))
	}
}

func TestAHostThatLeftTheConfigurationLeavesNoRecord(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(3), 1)
	rollOut(t, s, fleet(2), 2)
	must(t, s.Close())
	if got := keysOf(records(t, dir)); !slices.Equal(got, []string{"shop/production", "shop/production/", "shop/production/web-1", "shop/production/web-2"}) {
		t.Errorf("the records are %v", got)
	}
	s = open(t, dir, store.Options{NoSync: true})
	if live, err := s.Live(fleetTarget()); err != nil || live.Hosts.Len() != 2 {
		t.Errorf("%v, %v", live.Hosts.IDs(), err)
	}
}

func TestADamagedOrMissingHostsRecordIsFoundAgainInTheJournal(t *testing.T) {
	host, memory := []byte("shop\x00production\x00web-2"), []byte("shop\x00production\x00")
	for name, harm := range map[string]func(b *bolt.Bucket) error{
		"its checksum is wrong": func(b *bolt.Bucket) error {
			bad := bytes.Clone(b.Get(host))
			bad[0] ^= 0xff
			return b.Put(host, bad)
		},
		"its content is cut": func(b *bolt.Bucket) error { return b.Put(host, bytes.Clone(b.Get(host)[:20])) },
		"it is missing":      func(b *bolt.Bucket) error { return b.Delete(host) },
		"it is another host's record": func(b *bolt.Bucket) error {
			return b.Put(host, bytes.Clone(b.Get([]byte("shop\x00production\x00web-1"))))
		},
		"a stranger's record is there": func(b *bolt.Bucket) error {
			return b.Put([]byte("shop\x00production\x00web-9"), bytes.Clone(b.Get(host)))
		},
		"the memory's checksum is wrong": func(b *bolt.Bucket) error {
			bad := bytes.Clone(b.Get(memory))
			bad[0] ^= 0xff
			return b.Put(memory, bad)
		},
		"the memory is missing":                   func(b *bolt.Bucket) error { return b.Delete(memory) },
		"the environment's own record is missing": func(b *bolt.Bucket) error { return b.Delete([]byte("shop\x00production")) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{NoSync: true})
			rollOut(t, s, fleet(3), 1)
			r := begin(t, s, fleet(3), 2)
			r.until(deploy.OpStop)
			want, err := s.Live(fleetTarget())
			must(t, err)
			must(t, s.Close())
			update(t, dir, func(tx *bolt.Tx) error { return harm(tx.Bucket([]byte("env"))) })
			s = open(t, dir, store.Options{NoSync: true})
			got, err := s.Live(fleetTarget())
			must(t, err)
			if asText(t, got) != asText(t, want) {
				t.Errorf("found again is\n%s, and it was\n%s", asText(t, got), asText(t, want))
			}
			r.s = s
			r.all()
			must(t, s.Close())
			s = open(t, dir, store.Options{NoSync: true})
			live, err := s.Live(fleetTarget())
			if err != nil || live.Release.Commit.SHA != commitOf(2) || live.Hosts.Len() != 3 {
				t.Errorf("after the next start: %s on %v, %v", live.Release.Commit.SHA, live.Hosts.IDs(), err)
			}
		})
	}
}

func TestOverwrittenBytesOfAFleetAreFoundOrHarmless(t *testing.T) {
	source := t.TempDir()
	s := open(t, source, store.Options{NoSync: true})
	for commit := range 3 {
		rollOut(t, s, fleet(6), commit+1)
	}
	begin(t, s, fleet(6), 4).until(deploy.OpStop)
	truth := truthOf(t, s, 4)
	must(t, s.Close())
	if _, found := overwritten(t, source, truth, 100); found == 0 {
		t.Error("the overwriting hit nothing")
	}
}

func TestAnEnvironmentWithoutHostsIsStoredAsBefore(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	id, _, err := s.Submit(context.Background(), pushed(1))
	must(t, err)
	must(t, s.Append(id, 1, deploy.Event{Kind: deploy.KindEnded, Ending: deploy.Cancelled}))
	target := deploy.Target{App: "app1", Env: "production"}
	live, err := s.Live(target)
	must(t, err)
	must(t, s.Close())
	if got := records(t, dir); len(got) != 1 || got["app1/production"] != asText(t, live) {
		t.Errorf("stored is %v, want %s", got, asText(t, live))
	}
}

func TestATargetsRecordIsNotTakenForAHostsOfAnother(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{NoSync: true})
	rollOut(t, s, fleet(2), 1)
	for i := range int64(3) {
		r := pushed(i)
		r.App, r.Env = "shop", []string{"production2", "produc", "web-1"}[i]
		_, _, err := s.Submit(context.Background(), r)
		must(t, err)
	}
	must(t, s.Close())
	s = open(t, dir, store.Options{NoSync: true})
	lives, err := s.Lives()
	must(t, err)
	var got []string
	for _, l := range lives {
		got = append(got, fmt.Sprintf("%s %d", l.Target, l.Hosts.Len()))
	}
	if !slices.Equal(got, []string{"shop/produc 0", "shop/production 2", "shop/production2 0", "shop/web-1 0"}) {
		t.Errorf("the environments are %v", got)
	}
}
