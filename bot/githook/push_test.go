package githook

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func TestSecretsThatCanBeGuessedAreRefused(t *testing.T) {
	for secret, want := range map[string]deploy.Code{
		"": deploy.CodeInvalid, "fifteen letters": deploy.CodeInvalid, "sixteen letters!": "",
	} {
		err := CheckSecret("github", secret)
		if got := deploy.CodeOf(err); got != want {
			t.Errorf("%q: code %q, want %q", secret, got, want)
		}
		if err != nil && secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the secret: %v", err)
		}
	}
}

func TestAHeaderThatOccursTwiceIsNoHeader(t *testing.T) {
	h := http.Header{"X-Sig": {"a", "a"}, "X-One": {"b"}}
	if Header(h, "x-sig") != "" || Header(h, "X-One") != "b" || Header(h, "X-None") != "" {
		t.Error("headers are told apart wrongly")
	}
}

func TestWithinJudgesBothDirectionsAndNoNonsense(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	for at, want := range map[string]bool{
		"1700000000": true, "1699999700": true, "1700000300": true, "1699999699": false, "1700000301": false,
		"": false, "x": false, "-1": false, "0": false, "1e9": false, "9223372036854775807": false, "99999999999999999999": false, " 1700000000": false,
	} {
		if got := Within(at, time.Second, 5*time.Minute, now); got != want {
			t.Errorf("%q: %v", at, got)
		}
	}
	if !Within("1700000000999", time.Millisecond, time.Second, now) {
		t.Error("milliseconds are not understood")
	}
}

func TestAnUnusableDeliveryIDIsReplacedByTheBodys(t *testing.T) {
	body := []byte("body")
	made := Delivery("", body)
	for _, id := range []string{"a\nb", strings.Repeat("x", MaxDelivery+1), "\xff"} {
		if got := Delivery(id, body); got != made {
			t.Errorf("%.10q became %q", id, got)
		}
	}
	if Delivery("", []byte("other")) == made || Delivery("id", body) != "id" {
		t.Error("delivery ids are made wrongly")
	}
}

func TestAPayloadBeyondTheCapIsInvalid(t *testing.T) {
	huge := []byte(`"` + strings.Repeat("x", MaxBody) + `"`)
	if got := deploy.CodeOf(Decode("github", huge, new(string))); got != deploy.CodeInvalid {
		t.Errorf("code %q", got)
	}
	r := &http.Request{Header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}
	if _, ok := Payload(r, huge); ok {
		t.Error("a huge form was read")
	}
	if _, ok := Payload(r, []byte("payload=1&payload=2")); ok {
		t.Error("a form with two payloads was read")
	}
}

func TestALongMessageIsCut(t *testing.T) {
	p := deploy.Push{Provider: "x", Repo: "a/b", Ref: "refs/heads/m", Before: strings.Repeat("A", 40), After: strings.Repeat("b", 40)}
	head := &Commit{ID: p.After, Message: strings.Repeat("购", MaxMessage)}
	got, err := Accept(p, head)
	if err != nil || len(got.Message) > MaxMessage || !strings.HasPrefix(got.Message, "购") || got.Before != strings.Repeat("a", 40) {
		t.Errorf("%d bytes, before %q, %v", len(got.Message), got.Before, err)
	}
}
