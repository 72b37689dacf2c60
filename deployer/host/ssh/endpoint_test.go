package ssh

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

func TestAnEndpointIsReadInEveryUsualForm(t *testing.T) {
	cases := map[string]endpoint{
		"web-1":                     {"", "web-1", ""},
		"deploy@web-1":              {"deploy", "web-1", ""},
		"deploy@10.0.0.12:2222":     {"deploy", "10.0.0.12", "2222"},
		"ssh://deploy@web-1:22":     {"deploy", "web-1", "22"},
		"ssh://web-1.internal/":     {"", "web-1.internal", ""},
		"deploy@[fe80::1%eth0]:22":  {"deploy", "fe80::1%eth0", "22"},
		"[::1]":                     {"", "::1", ""},
		"::1":                       {"", "::1", ""},
		"first.last@corp@host:2222": {"first.last@corp", "host", "2222"},
	}
	for written, want := range cases {
		if got, err := parseEndpoint(written); err != nil || got != want {
			t.Errorf("%s: %+v, %v, want %+v", written, got, err, want)
		}
	}
}

func TestAnEndpointThatCouldBeAnOptionOrACommandIsInvalid(t *testing.T) {
	for _, written := range []string{
		"", "@", "user@", "@host", "-oProxyCommand=id", "user@-oProxyCommand=id", "-l@host", "host -x", "user name@host", "$(id)@host", "user@$(id)",
		"a;b@host", "user:secret@host", "host:0", "host:65536", "host:ssh", "host:22:22", "ssh://host/path", "http://host", "h\nost", "user@host\x00", "`id`",
	} {
		if _, err := parseEndpoint(written); deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%q: %v", written, err)
		}
	}
}

func TestSettingsThatAreNotUnderstoodAreInvalid(t *testing.T) {
	home := Options{Home: t.TempDir(), Agent: "none"}
	for _, settings := range []string{
		"", "{}", "[]", `{"address": "a", "url": "ssh://b"}`, `{"adress": "a"}`, `{"address": "a"} x`, `{"address": "a", "connect_timeout": "10"}`,
		`{"address": "a", "identity": "x", "identity_file": "y"}`, `{"address": "a", "become": ["-n"]}`, `{"address": "a", "proxy_jump": "-b"}`,
		`{"address": "a", "ssh_config": "/nonexistent/config"}`,
	} {
		if _, err := New(json.RawMessage(settings), home); deploy.CodeOf(err) != deploy.CodeInvalid || deploy.MessageOf(err) == "" {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

func TestABadLiteralKeyIsNotRepeatedInTheError(t *testing.T) {
	const canary = "-----BEGIN OPENSSH PRIVATE KEY-----\ncanary\n-----END OPENSSH PRIVATE KEY-----"
	settings, err := json.Marshal(map[string]string{"address": "a", "identity": canary})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(settings, Options{Home: t.TempDir()})
	if deploy.CodeOf(err) != deploy.CodeInvalid || strings.Contains(fmt.Sprintf("%+v", err), "canary") {
		t.Errorf("%+v", err)
	}
}
