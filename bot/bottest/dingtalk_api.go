package bottest

import (
	"encoding/json"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// locked serves one call, or the next fault instead.
func (d *DingTalk) locked(serve func(r *http.Request) (int, object)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		d.mu.Lock()
		defer d.mu.Unlock()
		if len(d.faults) > 0 {
			f := d.faults[0]
			d.faults = d.faults[1:]
			answer(w, f.status, f.body)
			return
		}
		status, body := serve(r)
		answer(w, status, body)
	}
}

func errcode(code int, message string) (int, object) {
	return http.StatusOK, object{"errcode": code, "errmsg": message}
}

// robotSend serves custom robots; every failure is a 200.
func (d *DingTalk) robotSend(r *http.Request) (int, object) {
	q := r.URL.Query()
	robot := d.robots[q.Get("access_token")]
	if robot == nil {
		return errcode(300001, "token is not exist")
	}
	now := d.Now()
	if robot.secret != "" {
		if said := d.checkSign(q, robot.secret, now); said != "" {
			return errcode(310000, said)
		}
	}
	if now.Before(robot.until) || robot.rate.take(now) > 0 {
		if !now.Before(robot.until) {
			robot.until = now.Add(dingPenalty)
		}
		return errcode(130101, "send too fast, exceed 20 times per minute")
	}
	m, code, said := readRobotMessage(r)
	if code != 0 {
		return errcode(code, said)
	}
	if robot.keyword != "" && !strings.Contains(m.Text+m.Title, robot.keyword) {
		return errcode(310000, "keywords not in content")
	}
	m.Channel = "webhook/" + robot.name
	d.messages = append(d.messages, m)
	return errcode(0, "ok")
}

func (d *DingTalk) checkSign(q url.Values, secret string, now time.Time) string {
	ms, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
	if err != nil || now.Sub(time.UnixMilli(ms)).Abs() > dingSignature {
		return "invalid timestamp"
	}
	if q.Get("sign") != SignTimestamp(secret, time.UnixMilli(ms)) {
		return "sign not match"
	}
	return ""
}

func (d *DingTalk) sessionSend(r *http.Request) (int, object) {
	session, ok := d.sessions[r.URL.Query().Get("session")]
	if !ok || d.Now().After(session.ends) {
		return errcode(300001, "token is not exist")
	}
	m, code, said := readRobotMessage(r)
	if code != 0 {
		return errcode(code, said)
	}
	m.Channel = "session"
	d.messages = append(d.messages, m)
	return errcode(0, "ok")
}

func readRobotMessage(r *http.Request) (m DingTalkMessage, code int, said string) {
	var in struct {
		Type     string `json:"msgtype"`
		Markdown struct{ Title, Text string }
		Text     struct{ Content string }
		At       any `json:"at"`
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return m, 43004, "invalid content-type header"
	}
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return m, 40035, "invalid json"
	}
	switch {
	case in.Type == "markdown" && in.Markdown.Title != "" && in.Markdown.Text != "":
		return DingTalkMessage{Title: in.Markdown.Title, Text: in.Markdown.Text, At: in.At}, 0, ""
	case in.Type == "text" && in.Text.Content != "":
		return DingTalkMessage{Text: in.Text.Content, At: in.At}, 0, ""
	}
	return m, 40035, "param error"
}

func (d *DingTalk) accessToken(r *http.Request) (int, object) {
	var in struct{ AppKey, AppSecret string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || in.AppKey != d.ClientID || in.AppSecret != d.ClientSecret {
		return http.StatusBadRequest, object{"code": "invalidClientIdOrSecret", "message": "无效的clientId或者clientSecret", "requestid": "made-up"}
	}
	d.signins++
	token := Hash(fmt.Sprint("token ", d.signins))
	d.tokens[token] = d.Now().Add(dingToken)
	return http.StatusOK, object{"accessToken": token, "expireIn": int(dingToken.Seconds())}
}

func (d *DingTalk) groupSend(r *http.Request) (int, object) {
	if ends, ok := d.tokens[r.Header.Get("x-acs-dingtalk-access-token")]; !ok || d.Now().After(ends) {
		return http.StatusUnauthorized, object{"code": "InvalidAuthentication", "message": "不合法的access_token"}
	}
	var in struct{ RobotCode, OpenConversationId, MsgKey, MsgParam string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		return http.StatusBadRequest, object{"code": "invalidParameter.param.invalid", "message": "The parameter is invalid."}
	}
	var param struct{ Title, Text string }
	switch {
	case in.RobotCode != d.RobotCode:
		return http.StatusBadRequest, object{"code": "invalidParameter.robotCode.auth", "message": "the robotCode does not match"}
	case in.MsgKey != "sampleMarkdown":
		return http.StatusBadRequest, object{"code": "invalidParameter.msgKey.invalid", "message": "The msgKey is invalid."}
	case len(in.MsgParam) > dingParam, json.Unmarshal([]byte(in.MsgParam), &param) != nil, param.Title == "", param.Text == "":
		return http.StatusBadRequest, object{"code": "invalidParameter.msgParam.invalid", "message": "The msgParam must be in JSON format."}
	}
	d.serial++
	m := DingTalkMessage{Channel: in.OpenConversationId, Title: param.Title, Text: param.Text, Ref: Hash(fmt.Sprint("key ", d.serial))}
	d.messages = append(d.messages, m)
	return http.StatusOK, object{"processQueryKey": m.Ref}
}

var (
	markdownLink = regexp.MustCompile(`!?\[[^\]]*\]\s*[(\[][^)\]]*[)\]]|(?m)^\s*\[[^\]]+\]:`)
	markupTag    = regexp.MustCompile(`<[a-zA-Z/!][^>]*>`)
)

// Visible returns what people read, zero-width characters removed.
func (m DingTalkMessage) Visible() string {
	return strings.ReplaceAll(m.Title+"\n"+m.Text, "\u200b", "")
}

// Mentions returns everything that notifies people: only an at does so.
func (m DingTalkMessage) Mentions() []string {
	if m.At == nil {
		return nil
	}
	return []string{fmt.Sprint(m.At)}
}

// Links returns everything that a client could make a link, a picture or
// mark-up of, also if it resolved entities first.
func (m DingTalkMessage) Links() []string {
	var out []string
	for _, text := range []string{m.Text, html.UnescapeString(m.Text)} {
		for _, kind := range []*regexp.Regexp{markdownLink, markupTag, bareAddress} {
			out = append(out, kind.FindAllString(text, -1)...)
		}
	}
	return out
}
