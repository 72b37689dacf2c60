package dingtalk

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// refreshEarly is how long before its end a token is replaced.
const refreshEarly = 5 * time.Minute

// tokens keeps the app's access token. One caller at a time fetches; the others
// wait, as long as their contexts allow, and take what it got.
type tokens struct {
	config Config
	client *http.Client
	turn   chan struct{} // holds one element; whoever took it owns the fields below
	value  string
	until  time.Time
}

func newTokens(c Config, client *http.Client) *tokens {
	t := &tokens{config: c, client: client, turn: make(chan struct{}, 1)}
	t.turn <- struct{}{}
	return t
}

// get returns a token that holds for some minutes yet.
func (t *tokens) get(ctx context.Context) (string, error) {
	select {
	case <-t.turn:
		defer func() { t.turn <- struct{}{} }()
	case <-ctx.Done():
		return "", &deploy.Error{Code: deploy.CodeOf(ctx.Err()), Op: "sign in", Subject: "dingtalk", Err: ctx.Err()}
	}
	if t.value != "" && t.config.Now().Before(t.until) {
		return t.value, nil
	}
	err := t.fetch(ctx)
	return t.value, err
}

// drop forgets a token that was refused, unless it was replaced meanwhile or
// ctx ends first.
func (t *tokens) drop(ctx context.Context, refused string) {
	select {
	case <-t.turn:
		if t.value == refused {
			t.value = ""
		}
		t.turn <- struct{}{}
	case <-ctx.Done():
	}
}

func (t *tokens) fetch(ctx context.Context) error {
	t.value = ""
	credentials := map[string]string{"appKey": t.config.ClientID, "appSecret": t.config.ClientSecret}
	status, answer, err := hostile.PostJSON(ctx, t.client, t.config.APIURL+"/v1.0/oauth2/accessToken", nil, credentials)
	if err != nil {
		return err
	}
	var in struct {
		apiError
		Token  string `json:"accessToken"`
		Expire int64  `json:"expireIn"` // seconds
	}
	decoded := json.Unmarshal(answer, &in)
	if status == http.StatusOK && decoded == nil && in.Token != "" {
		t.value, t.until = in.Token, t.config.Now().Add(time.Duration(min(in.Expire, 86400))*time.Second-refreshEarly)
		return nil
	}
	if status == http.StatusBadRequest {
		status = http.StatusUnauthorized // wrong credentials are a 400 here
	}
	return in.explain("sign in", "dingtalk", status)
}
