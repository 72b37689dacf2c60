package dingtalk

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// apiPause is how long to wait when the API asks for fewer calls; it tells no time.
const apiPause = time.Minute

// groupMessage is the request of /v1.0/robot/groupMessages/send.
type groupMessage struct {
	RobotCode string `json:"robotCode"`
	Group     string `json:"openConversationId"`
	Key       string `json:"msgKey"`
	Param     string `json:"msgParam"` // JSON as a text
}

// apiError is how the API says no.
type apiError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// postGroup sends as the app robot. A token that DingTalk refuses is replaced,
// once.
func (c *Chat) postGroup(ctx context.Context, group string, l letter) (ref string, err error) {
	subject := "dingtalk:" + group
	if c.config.ClientID == "" || c.config.RobotCode == "" {
		return "", &deploy.Error{Code: deploy.CodeInvalid, Op: "post", Subject: subject,
			Message: "groups need the app robot: set client_id, client_secret and robot_code under chat.dingtalk"}
	}
	param, err := inner(markdownText{Title: l.title, Text: l.text})
	if err != nil {
		return "", err
	}
	message := groupMessage{RobotCode: c.config.RobotCode, Group: group, Key: "sampleMarkdown", Param: param}
	status, answer, err := c.send(ctx, message)
	if err != nil {
		return "", err
	}
	return judgeGroup(subject, status, answer)
}

// send calls the API with a token, and once more with a new one.
func (c *Chat) send(ctx context.Context, message groupMessage) (status int, answer []byte, err error) {
	for range 2 {
		token, err := c.tokens.get(ctx)
		if err != nil {
			return 0, nil, err
		}
		header := http.Header{"X-Acs-Dingtalk-Access-Token": {token}}
		status, answer, err = hostile.PostJSON(ctx, c.client, c.config.APIURL+"/v1.0/robot/groupMessages/send", header, message)
		if err != nil || status != http.StatusUnauthorized {
			return status, answer, err
		}
		c.tokens.drop(ctx, token)
	}
	return status, answer, nil
}

// inner encodes without escaping < and >, which would only use up the limit.
func inner(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", &deploy.Error{Code: deploy.CodeInternal, Op: "encode", Subject: "dingtalk message", Err: err}
	}
	return strings.TrimSpace(b.String()), nil
}

func judgeGroup(subject string, status int, answer []byte) (ref string, err error) {
	var in struct {
		apiError
		Key string `json:"processQueryKey"`
	}
	decoded := json.Unmarshal(answer, &in)
	if status == http.StatusOK && decoded == nil {
		return hostile.Line(in.Key, mostID), nil
	}
	return "", in.explain("post", subject, status)
}

// explain turns an answer of the API into an error that says what to do.
func (e apiError) explain(op, subject string, status int) error {
	said := hostile.Line(e.Code+" "+e.Message, 200)
	switch {
	case status == http.StatusTooManyRequests || strings.Contains(e.Code, "Throttling") || strings.Contains(e.Code, "QpsLimit"):
		return throttled(op, subject, apiPause)
	case status >= 500:
		return unavailable(op, subject, said)
	case status == http.StatusUnauthorized:
		return &deploy.Error{Code: deploy.CodeRefused, Op: op, Subject: subject,
			Message: "DingTalk does not accept chat.dingtalk.client_id and client_secret: copy both once more from Credentials of the app in the developer console"}
	case status == http.StatusForbidden:
		return &deploy.Error{Code: deploy.CodeRefused, Op: op, Subject: subject,
			Message: "the DingTalk app lacks a right (" + said + "): tick qyapi_robot_sendmsg under Permissions of the app in the developer console"}
	case strings.Contains(e.Code, "robotCode"):
		return &deploy.Error{Code: deploy.CodeInvalid, Op: op, Subject: subject,
			Message: "DingTalk does not accept chat.dingtalk.robot_code (" + said + "): copy it from Robot of the app in the developer console, and add the robot to the group"}
	}
	return failed(op, subject, said)
}
