package gitee

import (
	"net/http"
	"testing"
	"time"

	"ipublish/bot/hostile"
)

// The vector was computed outside of this code. Its secret has 14 characters,
// which New refuses.
func TestTheVectorIsGenuine(t *testing.T) {
	at := time.UnixMilli(1576754827988)
	h := &Hook{secret: "this is secret", now: func() time.Time { return at }, replays: hostile.NewReplays(window)}
	r := &http.Request{Header: http.Header{}}
	r.Header.Set("X-Gitee-Timestamp", "1576754827988")
	r.Header.Set("X-Gitee-Token", "2D978FIy4DMMTbiN80zQkNH1Eq/kMBt3gL6OnWfGzzY=")
	if err := h.verify(r.Header, nil); err != nil {
		t.Error(err)
	}
	r.Header.Set("X-Gitee-Timestamp", "1576754827989")
	if err := h.verify(r.Header, nil); err == nil {
		t.Error("the signature of another time was accepted")
	}
}
