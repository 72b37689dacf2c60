package bottest

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// DingTalk is an organisation with one app robot and custom robots, as far as a
// bot over HTTP sees it: callbacks, access tokens, group messages, custom
// robots with their security settings, session webhooks.
type DingTalk struct {
	Clock
	URL          string // of the server
	ClientID     string
	ClientSecret string
	RobotCode    string

	t        testing.TB
	mu       sync.Mutex
	messages []DingTalkMessage
	robots   map[string]*dingRobot  // by access_token
	sessions map[string]dingSession // by session
	tokens   map[string]time.Time   // with their ends
	signins  int
	faults   []dingFault
	serial   int
}

// DingTalkMessage is one message as it was sent; nothing can be edited.
type DingTalkMessage struct {
	Channel string // "webhook/NAME", a conversation's id, or "session" for an answer
	Title   string
	Text    string // markdown
	At      any    // the at of the message; nil is what it should be
	Ref     string // processQueryKey of a group message
}

type dingRobot struct {
	name, secret, keyword string
	rate                  meter
	until                 time.Time // throttled until then
}

type dingSession struct{ ends time.Time }

type dingFault struct {
	status int
	body   object
}

// DingTalk's documented limits.
const (
	dingPerMinute = 20
	dingPenalty   = 10 * time.Minute
	dingSignature = time.Hour
	dingSession90 = 90 * time.Minute
	dingToken     = 7200 * time.Second
	dingParam     = 15000
)

// NewDingTalk starts an organisation; it ends with the test.
func NewDingTalk(t testing.TB) *DingTalk {
	t.Helper()
	d := &DingTalk{
		ClientID: "dingue4kfzdxbyn0pjqd", ClientSecret: "aVerySecretAppSecretOfSixtyFourCharactersAsDingTalkMakesThem0123", RobotCode: "dingue4kfzdxbyn0pjqd",
		t: t, robots: map[string]*dingRobot{}, sessions: map[string]dingSession{}, tokens: map[string]time.Time{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /robot/send", d.locked(d.robotSend))
	mux.HandleFunc("POST /robot/sendBySession", d.locked(d.sessionSend))
	mux.HandleFunc("POST /v1.0/oauth2/accessToken", d.locked(d.accessToken))
	mux.HandleFunc("POST /v1.0/robot/groupMessages/send", d.locked(d.groupSend))
	srv := httptest.NewServer(mux)
	t.Cleanup(srv.Close)
	d.URL = srv.URL
	return d
}

// Robot adds a custom robot and returns its address. With a secret it demands a
// signature, with a keyword that the message holds it.
func (d *DingTalk) Robot(name, secret, keyword string) (url string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	token := Hash("robot "+name) + Hash("token")[:24]
	d.robots[token] = &dingRobot{name: name, secret: secret, keyword: keyword, rate: meter{most: dingPerMinute, window: time.Minute}}
	return d.URL + "/robot/send?access_token=" + token
}

// Messages returns what a channel shows, oldest first: "webhook/NAME", a
// conversation's id, or "session"; an empty channel means all.
func (d *DingTalk) Messages(channel string) []DingTalkMessage {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []DingTalkMessage
	for _, m := range d.messages {
		if channel == "" || m.Channel == channel {
			out = append(out, m)
		}
	}
	return out
}

// Answer makes the next call be answered with this status and JSON instead.
func (d *DingTalk) Answer(status int, body map[string]any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.faults = append(d.faults, dingFault{status: status, body: body})
}

// Revoke makes every access token invalid.
func (d *DingTalk) Revoke() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.tokens)
}

// SignIns returns how often an access token was asked for.
func (d *DingTalk) SignIns() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.signins
}

// DingTalkCommand is a message of a person to the app robot. Every empty field
// has a default.
type DingTalkCommand struct {
	Text           string    // what follows the mention
	StaffID        string    // default "manager4220"; "-" is somebody outside of the organisation
	Nick           string    // default "小钉"
	Conversation   string    // default "cidw1M9XtXqUwbkQeXnFbDw2m/4PVEPTSsRBgvJjwby6dg="
	Private        bool      // said in the single chat
	MsgID          string    // default a new one: another message
	MsgType        string    // default "text"
	SessionWebhook string    // default a new one of this organisation
	At             time.Time // when it is signed; default now
}

// Body returns the JSON of a message, with its own msgId and sessionWebhook
// unless c has them.
func (d *DingTalk) Body(c DingTalkCommand) []byte {
	d.mu.Lock()
	d.serial++
	serial := d.serial
	d.mu.Unlock()
	if c.SessionWebhook == "" {
		c.SessionWebhook = d.newSession(serial)
	}
	kind, space := "2", " "
	if c.Private {
		kind, space = "1", ""
	}
	staff := or(c.StaffID, "manager4220")
	if staff == "-" {
		staff = ""
	}
	now := d.Now()
	return mustJSON(object{
		"msgtype": or(c.MsgType, "text"), "text": object{"content": space + c.Text},
		"msgId":    or(c.MsgID, fmt.Sprintf("msg%s==", Hash(strconv.Itoa(serial))[:22])),
		"createAt": now.UnixMilli(), "conversationType": kind,
		"conversationId": or(c.Conversation, "cidw1M9XtXqUwbkQeXnFbDw2m/4PVEPTSsRBgvJjwby6dg="), "conversationTitle": "发布",
		"senderId": "$:LWCP_v1:$made-up-sender", "senderStaffId": staff, "senderNick": or(c.Nick, "小钉"), "senderCorpId": "dingmadeupcorp", "isAdmin": true,
		"isInAtList": true, "atUsers": []object{{"dingtalkId": "$:LWCP_v1:$made-up-robot"}},
		"chatbotUserId": "$:LWCP_v1:$made-up-robot", "chatbotCorpId": "dingmadeupcorp", "robotCode": d.RobotCode,
		"sessionWebhook": c.SessionWebhook, "sessionWebhookExpiredTime": now.Add(dingSession90).UnixMilli(),
	})
}

// Callback builds the request that DingTalk sends to the robot's message
// address when a person says c.
func (d *DingTalk) Callback(to string, c DingTalkCommand) *http.Request {
	at := c.At
	if at.IsZero() {
		at = d.Stamp()
	}
	return d.Sign(to, d.Body(c), at)
}

// Sign builds a request with any body, signed as DingTalk signs at a time. The
// signature does not cover the body.
func (d *DingTalk) Sign(to string, body []byte, at time.Time) *http.Request {
	r, err := http.NewRequest(http.MethodPost, to, bytes.NewReader(body))
	if err != nil {
		panic(err) // a malformed URL in a test
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("timestamp", strconv.FormatInt(at.UnixMilli(), 10))
	r.Header.Set("sign", SignTimestamp(d.ClientSecret, at))
	return r
}

// Stamp is a time that no other callback was signed at.
func (d *DingTalk) Stamp() time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.serial++
	return d.Now().Add(time.Duration(d.serial) * time.Millisecond)
}

func (d *DingTalk) newSession(serial int) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	id := Hash(fmt.Sprint("session ", serial))[:32]
	d.sessions[id] = dingSession{ends: d.Now().Add(dingSession90)}
	return d.URL + "/robot/sendBySession?session=" + url.QueryEscape(id)
}
