package slacksocket_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"ipublish/bot/bottest/slacksocket"
)

type object map[string]any

// ask calls apps.connections.open.
func ask(t *testing.T, s *slacksocket.Slack, token string) object {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.APIURL()+"apps.connections.open", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var out object
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func dial(t *testing.T, to string) (*websocket.Conn, error) {
	t.Helper()
	c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), to, nil)
	if err != nil {
		return nil, err
	}
	resp.Body.Close()
	t.Cleanup(func() { c.Close() })
	return c, nil
}

// connect opens a connection and reads its first frame.
func connect(t *testing.T, s *slacksocket.Slack) (*websocket.Conn, object) {
	t.Helper()
	to, _ := ask(t, s, s.AppToken)["url"].(string)
	c, err := dial(t, to)
	if err != nil {
		t.Fatal(err)
	}
	return c, next(t, c)
}

func next(t *testing.T, c *websocket.Conn) object {
	t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	var f object
	if err := c.ReadJSON(&f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestAURLWorksOnceAndOnlyForTheAppToken(t *testing.T) {
	s := slacksocket.New(t, slacksocket.Options{})
	for token, want := range map[string]string{s.Web.Token: "not_allowed_token_type", "xapp-1-other": "invalid_auth", "": "invalid_auth"} {
		if got := ask(t, s, token); got["error"] != want {
			t.Errorf("%q: %v", token, got)
		}
	}
	to, _ := ask(t, s, s.AppToken)["url"].(string)
	if _, err := dial(t, to); err != nil {
		t.Fatal(err)
	}
	if _, err := dial(t, to); err == nil {
		t.Error("a used URL took a connection")
	}
}

func TestAnEleventhConnectionIsTooMany(t *testing.T) {
	s := slacksocket.New(t, slacksocket.Options{})
	for i := range slacksocket.MostConnections {
		if _, hello := connect(t, s); hello["type"] != "hello" || hello["num_connections"] != float64(i+1) {
			t.Errorf("connection %d is greeted with %v", i+1, hello)
		}
	}
	if _, f := connect(t, s); f["type"] != "disconnect" || f["reason"] != "too_many_websockets" {
		t.Errorf("one more is told %v", f)
	}
}

func TestAnAckCountsOnlyOverTheConnectionOfItsPayloadAndInTime(t *testing.T) {
	s := slacksocket.New(t, slacksocket.Options{AckWithin: 500 * time.Millisecond})
	if envelope, _ := s.Say("", "", "status"); !errors.Is(failure(t, s, envelope), slacksocket.ErrNobody) {
		t.Error("a command reached nobody and is no failure")
	}
	first, _ := connect(t, s)
	envelope, trigger := s.Say("U0ADA", "C0OPS", "status")
	f := next(t, first)
	payload, _ := f["payload"].(map[string]any)
	if f["envelope_id"] != envelope || f["type"] != "slash_commands" || f["accepts_response_payload"] != true || payload["trigger_id"] != trigger || payload["user_id"] != "U0ADA" || payload["text"] != "status" {
		t.Errorf("sent %v", f)
	}
	second, _ := connect(t, s)
	if err := second.WriteJSON(object{"envelope_id": envelope}); err != nil {
		t.Fatal(err)
	}
	if err := failure(t, s, envelope); !errors.Is(err, slacksocket.ErrLate) {
		t.Errorf("acknowledged over another connection: %v", err)
	}
	second.Close()
	if err := s.WaitConnections(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	lost, _ := s.Say("", "", "status")
	s.Reset()
	if err := failure(t, s, lost); !errors.Is(err, slacksocket.ErrBroken) {
		t.Errorf("its connection broke: %v", err)
	}
}

func failure(t *testing.T, s *slacksocket.Slack, envelope string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := s.WaitAck(ctx, envelope)
	return err
}

func TestADisconnectIsAnnouncedAndAWarnedConnectionStands(t *testing.T) {
	s := slacksocket.New(t, slacksocket.Options{})
	c, _ := connect(t, s)
	s.Disconnect("warning")
	if f := next(t, c); f["type"] != "disconnect" || f["reason"] != "warning" {
		t.Errorf("told %v", f)
	}
	if s.Connections() != 1 {
		t.Error("a warned connection was closed at once")
	}
	if envelope, _ := s.Say("", "", "status"); !errors.Is(failure(t, s, envelope), slacksocket.ErrNobody) {
		t.Error("a warned connection got a payload")
	}
	c, _ = connect(t, s)
	s.Disconnect("refresh_requested")
	next(t, c)
	if _, _, err := c.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseGoingAway) {
		t.Errorf("after a refresh: %v", err)
	}
}
