package source

import (
	"os/exec"
	"strings"
	"testing"

	"ipublish/deploy"
)

func runQuiet(name string, args ...string) error { return exec.Command(name, args...).Run() }

func TestRepositoriesAreUnderstoodInTheirUsualForms(t *testing.T) {
	for in, want := range map[string]address{
		"https://git.example.com/acme/shop.git":  {scheme: "https", host: "git.example.com", path: "/acme/shop.git"},
		"https://git.example.com:8443/acme/shop": {scheme: "https", host: "git.example.com", port: 8443, path: "/acme/shop"},
		"ssh://git@git.example.com:2222/a/b.git": {scheme: "ssh", user: "git", host: "git.example.com", port: 2222, path: "/a/b.git"},
		"git@git.example.com:acme/shop.git":      {scheme: "ssh", user: "git", host: "git.example.com", port: 22, path: "acme/shop.git"},
		"file:///srv/git/shop.git":               {scheme: "file", path: "/srv/git/shop.git"},
		"/srv/git/shop":                          {scheme: "file", path: "/srv/git/shop"},
		"http://127.0.0.1:3000/shop.git":         {scheme: "http", host: "127.0.0.1", port: 3000, path: "/shop.git"},
	} {
		got, err := parseAddress(in)
		if err != nil || got != want {
			t.Errorf("%s is understood as %+v, %v", in, got, err)
		}
	}
}

func TestRepositoriesThatCannotBeFetchedSafelyAreRefused(t *testing.T) {
	for _, in := range []string{
		"", "shop", "./shop", "../shop", "http://git.example.com/shop.git", "git://git.example.com/shop.git", "ftp://x/y",
		"ext::sh -c touch% /tmp/pwned", "https:///shop.git", "ssh://-oProxyCommand=id/x", "-oProxyCommand=id:x", "ssh://git@host/\nx", "file://host/srv/x",
		"git@host:-upload",
	} {
		_, err := parseAddress(in)
		if deploy.CodeOf(err) != deploy.CodeInvalid {
			t.Errorf("%q is accepted: %v", in, err)
		}
	}
	_, err := parseAddress("gopher://user:pa55word@host/x")
	if err == nil || strings.Contains(err.Error(), "pa55word") {
		t.Errorf("the refusal tells the password: %v", err)
	}
}

func TestAMirrorsFolderIsReadableAndItsOwn(t *testing.T) {
	seen := map[string]string{}
	for _, in := range []string{
		"https://git.example.com/acme/shop.git", "https://git.example.com/acme/Shop.git", "https://git.example.com/acme/shop",
		"git@git.example.com:acme/shop.git", "/srv/acme/shop", "/srv/../srv/acme/shop2", "/" + strings.Repeat("x", 300), "/$(id)/<b>/" + "é",
	} {
		a, err := parseAddress(in)
		if err != nil {
			t.Fatal(err)
		}
		name := a.folder()
		if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || len(name) > 60 {
			t.Errorf("%s has the folder %q", in, name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%s and %s share the folder %s", in, other, name)
		}
		seen[name] = in
	}
	a, err := parseAddress("https://git.example.com/acme/shop.git")
	if err != nil || !strings.HasPrefix(a.folder(), "acme-shop-") {
		t.Errorf("folder %q, %v", a.folder(), err)
	}
}
