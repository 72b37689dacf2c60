package bottest

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"ipublish/bot"
	"ipublish/deploy"
)

// GithookRig is a git host's driver together with the host that talks to it.
type GithookRig struct {
	Hook   bot.Githook
	Secret string // that Hook was made with
	Sender Sender
	// Signature are the headers, one of which carries the proof.
	Signature []string
	// Loose says that the proof does not cover the body, as the driver documents.
	Loose bool
}

// hookURL is where deliveries of the suites are addressed; nothing is sent.
const hookURL = "http://ipublish.example/hooks"

// Githook checks that a driver keeps the contract of bot.Githook.
func Githook(t *testing.T, rig GithookRig) {
	t.Run("a genuine push parses to what was pushed", rig.parses)
	t.Run("a push without the right proof is refused", rig.refuses)
	t.Run("a changed body is refused", rig.refusesChanges)
	t.Run("no spelling of a proof carries another body", rig.refusesSpellings)
	t.Run("the headers alone turn away only what is refused anyway", rig.knocks)
	t.Run("other events are ignored", rig.ignoresOthers)
	t.Run("a redelivery has the same id and another push another one", rig.identifies)
	t.Run("impossible refs and hashes are invalid", rig.validates)
	t.Run("hostile refs arrive as data", rig.keepsRefs)
	t.Run("hostile texts arrive printable and short", rig.cleansTexts)
	t.Run("no mutation of a genuine body panics or passes unexplained", rig.survives)
}

// FuzzGithook feeds any body, genuinely signed, to the driver: it must answer
// with a valid push or a code.
func FuzzGithook(f *testing.F, rig GithookRig) {
	for _, p := range []Push{{}, {After: Zeros}, {Before: Zeros}, {Ref: "refs/tags/v1"}} {
		f.Add(rig.Sender.Body(p))
	}
	f.Add([]byte(`{"ref":null,"commits":[{}],"head_commit":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		rig.judge(t, rig.Sender.Deliver(hookURL, rig.Secret, Push{}, body))
	})
}

func (rig GithookRig) parses(t *testing.T) {
	tag := Push{Ref: "refs/tags/v1.2", Before: Zeros, After: Hash("tag object"), Commit: Hash("tagged")}
	for name, p := range map[string]Push{
		"branch":         {},
		"new branch":     {Ref: "refs/heads/feature/basket", Before: Zeros},
		"deleted branch": {After: Zeros},
		"sha-256":        {Before: strings.Repeat("0", 64), After: strings.Repeat("ab", 32)},
		"as a form":      {Form: true},
		"annotated tag":  tag,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parse(t, rig.Hook, rig.Sender.Push(hookURL, rig.Secret, p))
			if err != nil {
				t.Fatal(err)
			}
			rig.expect(t, got, p.filled())
		})
	}
}

func (rig GithookRig) expect(t *testing.T, got deploy.Push, p Push) {
	t.Helper()
	want := deploy.Push{
		Provider: rig.Sender.Provider, Delivery: got.Delivery, Repo: p.Repo, Ref: p.Ref, Before: p.Before, After: p.Commit,
		Title: p.Title, Author: p.Author, Message: p.Message,
		Pusher: deploy.Actor{ID: "push:" + rig.Sender.Provider, Name: p.Pusher},
	}
	if p.Deleted() {
		want.Title, want.Author, want.Message = "", "", ""
	}
	if got.Deleted() != p.Deleted() {
		t.Errorf("deleted is %v", got.Deleted())
	}
	if got.Delivery == "" || got.FilesKnown {
		t.Errorf("delivery %q, files known: %v", got.Delivery, got.FilesKnown)
	}
	if a, b := mustJSON(got), mustJSON(want); !bytes.Equal(a, b) {
		t.Errorf("got  %s\nwant %s", a, b)
	}
}

func (rig GithookRig) refuses(t *testing.T) {
	genuine := func() *http.Request { return rig.Sender.Push(hookURL, rig.Secret, Push{}) }
	for name, forge := range map[string]func() *http.Request{
		"no proof":    func() *http.Request { return withHeaders(genuine(), rig.Signature, nil) },
		"empty proof": func() *http.Request { return withHeaders(genuine(), rig.Signature, []string{""}) },
		"not a proof": func() *http.Request { return withHeaders(genuine(), rig.Signature, []string{"x"}) },
		"short proof": func() *http.Request {
			return eachHeader(genuine(), rig.Signature, func(s string) string { return s[:len(s)-2] })
		},
		"long proof": func() *http.Request {
			return eachHeader(genuine(), rig.Signature, func(s string) string { return s + "00" })
		},
		"two proofs": func() *http.Request { return twice(genuine(), rig.Signature) },
		"huge proof": func() *http.Request {
			return withHeaders(genuine(), rig.Signature, []string{strings.Repeat("v1,AAAA ", 1<<16)})
		},
		"another secret": func() *http.Request { return rig.Sender.Push(hookURL, rig.other(), Push{}) },
		"no headers":     func() *http.Request { r := genuine(); r.Header = http.Header{}; return r },
		"broken form":    func() *http.Request { return formOf(genuine(), "payload=%zz") },
		"a GitHub SHA-1": func() *http.Request {
			r := withHeaders(genuine(), rig.Signature, nil)
			r.Header.Set("X-Hub-Signature", "sha1="+strings.Repeat("0", 40))
			return r
		},
		"empty, no proof": func() *http.Request {
			return withHeaders(rig.Sender.Deliver(hookURL, rig.Secret, Push{}, nil), rig.Signature, nil)
		},
		"another's secret": func() *http.Request { return rig.Sender.Push(hookURL, strings.ToUpper(rig.Secret), Push{}) },
	} {
		t.Run(name, func(t *testing.T) {
			if rig.Loose && name == "broken form" {
				return
			}
			_, err := parse(t, rig.Hook, forge())
			wantCode(t, err, deploy.CodeRefused)
			if deploy.MessageOf(err) == "" {
				t.Error("refused without a message")
			}
			rig.tellsNothing(t, err)
		})
	}
}

func (rig GithookRig) refusesChanges(t *testing.T) {
	for _, form := range []bool{false, true} {
		r := rig.Sender.Push(hookURL, rig.Secret, Push{Form: form})
		body := read(t, r)
		body = bytes.Replace(body, []byte("acme"), []byte("evil"), 1)
		_, err := parse(t, rig.Hook, withBody(r, body))
		if !rig.Loose {
			wantCode(t, err, deploy.CodeRefused)
		}
	}
}

func (rig GithookRig) refusesSpellings(t *testing.T) {
	genuine := rig.Sender.Push(hookURL, rig.Secret, Push{})
	if _, err := parse(t, rig.Hook, genuine); err != nil {
		t.Fatal(err)
	}
	body := bytes.Replace(read(t, genuine), []byte("acme"), []byte("evil"), 1)
	for _, r := range respelled(genuine, rig.Signature) {
		_, err := parse(t, rig.Hook, withBody(r, body))
		wantCode(t, err, deploy.CodeRefused)
	}
}

func (rig GithookRig) knocks(t *testing.T) {
	door, ok := rig.Hook.(bot.Doorkeeper)
	if !ok {
		t.Fatal("the driver is no bot.Doorkeeper: whoever sends anything would have it read")
	}
	if err := door.Knock(rig.Sender.Push(hookURL, rig.Secret, Push{}).Header); err != nil {
		t.Errorf("a genuine delivery is turned away: %v", err)
	}
	for _, values := range [][]string{nil, {""}, {"x"}, {"x", "x"}} {
		err := door.Knock(withHeaders(rig.Sender.Push(hookURL, rig.Secret, Push{}), rig.Signature, values).Header)
		wantCode(t, err, deploy.CodeRefused)
		if err != nil {
			rig.tellsNothing(t, err)
		}
	}
}

func (rig GithookRig) ignoresOthers(t *testing.T) {
	r := rig.Sender.Push(hookURL, rig.Secret, Push{})
	for name := range r.Header {
		if strings.HasSuffix(name, "-Event") {
			r.Header.Set(name, "Issue Hook")
		}
	}
	_, err := parse(t, rig.Hook, r)
	wantCode(t, err, deploy.CodeNotFound)
	if deploy.MessageOf(err) == "" {
		t.Error("ignored without a message")
	}
}

func (rig GithookRig) identifies(t *testing.T) {
	at := Push{}.filled().At
	id := func(p Push) string {
		p.At = at
		got, err := parse(t, rig.Hook, rig.Sender.Push(hookURL, rig.Secret, p))
		if err != nil {
			t.Fatal(err)
		}
		return got.Delivery
	}
	first := id(Push{})
	if again := id(Push{}); again != first {
		t.Errorf("redelivered as %q, was %q", again, first)
	}
	at = at.Add(1e9)
	if other := id(Push{After: Hash("another")}); other == first {
		t.Errorf("another push has the same id %q", other)
	}
	at = at.Add(1e9)
	if long := id(Push{Delivery: strings.Repeat("x", 5000)}); len(long) > 300 {
		t.Errorf("an id of %d bytes was taken", len(long))
	}
}

func (rig GithookRig) validates(t *testing.T) {
	for name, p := range map[string]Push{
		"ref without refs/": {Ref: "main"}, "ref is refs/": {Ref: "refs/"}, "ref with a line break": {Ref: "refs/heads/a\nb"},
		"ref with NUL": {Ref: "refs/heads/a\x00"}, "huge ref": {Ref: "refs/heads/" + strings.Repeat("x", 5000)},
		"short hash": {After: "4f2a91c"}, "no hex": {After: strings.Repeat("g", 40)}, "long hash": {After: strings.Repeat("a", 41)},
		"option for a hash": {After: "--upload-pack=touch x"}, "before is no hash": {Before: "HEAD~1"}, "repo with a line break": {Repo: "acme/shop\n"},
		"head is no hash": {Commit: "$(id)", Ref: "refs/tags/v1"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse(t, rig.Hook, rig.Sender.Push(hookURL, rig.Secret, p))
			wantCode(t, err, deploy.CodeInvalid)
		})
	}
}

func (rig GithookRig) keepsRefs(t *testing.T) {
	for _, name := range HostileRefs() {
		got, err := parse(t, rig.Hook, rig.Sender.Push(hookURL, rig.Secret, Push{Ref: "refs/heads/" + name}))
		if branch, ok := got.Branch(); err != nil || !ok || branch != name {
			t.Errorf("branch %.40q arrived as %.40q (%v)", name, branch, err)
		}
	}
}

func (rig GithookRig) cleansTexts(t *testing.T) {
	for _, text := range HostileTexts() {
		got, err := parse(t, rig.Hook, rig.Sender.Push(hookURL, rig.Secret, Push{Title: text, Message: text, Author: text, Pusher: text}))
		if err != nil {
			t.Errorf("%.40q: %v", text, err)
			continue
		}
		for _, shown := range []string{got.Title, got.Author, got.Pusher.Name} {
			if utf8.RuneCountInString(shown) > 200 || strings.ContainsFunc(shown, unicode.IsControl) || strings.ContainsRune(shown, '\u202e') {
				t.Errorf("%.40q is shown as %.60q", text, shown)
			}
		}
	}
}

func (rig GithookRig) survives(t *testing.T) {
	for _, p := range []Push{{}, {After: Zeros}} {
		for _, m := range Mutations(rig.Sender.Body(p)) {
			if rig.judge(t, rig.Sender.Deliver(hookURL, rig.Secret, Push{}, m.JSON)); t.Failed() {
				t.Fatal(m.Name)
			}
		}
	}
}

// judge accepts a valid push, deploy.CodeInvalid or deploy.CodeNotFound.
func (rig GithookRig) judge(t *testing.T, r *http.Request) {
	t.Helper()
	got, err := parse(t, rig.Hook, r)
	switch deploy.CodeOf(err) {
	case "":
		if got.Repo == "" || !strings.HasPrefix(got.Ref, "refs/") || !fullHash.MatchString(got.After) || !fullHash.MatchString(got.Before) {
			t.Errorf("passed as %+v", got)
		}
	case deploy.CodeInvalid, deploy.CodeNotFound:
		rig.tellsNothing(t, err)
	default:
		t.Errorf("code %q: %v", deploy.CodeOf(err), err)
	}
}

var (
	fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
	longHex  = regexp.MustCompile(`[0-9a-fA-F]{40}`)
)

// tellsNothing fails if an error would help to forge a proof.
func (rig GithookRig) tellsNothing(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); strings.Contains(s, rig.Secret) || longHex.MatchString(s) || len(s) > 1000 {
		t.Errorf("the error tells too much: %.200s", s)
	}
}

func (rig GithookRig) other() string {
	if strings.HasPrefix(rig.Secret, "whsec_") {
		return "whsec_b3RoZXJvdGhlcm90aGVyb3RoZXI="
	}
	return "another secret of good length"
}

func parse(t *testing.T, hook bot.Githook, r *http.Request) (deploy.Push, error) {
	t.Helper()
	return hook.Parse(r, read(t, r))
}

func wantCode(t *testing.T, err error, want deploy.Code) {
	t.Helper()
	if got := deploy.CodeOf(err); got != want {
		t.Errorf("code %q, want %q (%v)", got, want, err)
	}
}

func read(t testing.TB, r *http.Request) []byte {
	t.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return body
}
