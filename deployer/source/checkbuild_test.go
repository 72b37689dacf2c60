package source

import (
	"net/url"
	"strings"
	"testing"

	"ipublish/deploy"
)

func parsed(t testing.TB, text string) *url.URL {
	t.Helper()
	u, err := url.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

const goodURL = "https://nexus.test/{commit}/shop.war"

func TestABuildSectionThatMakesSenseIsAccepted(t *testing.T) {
	for _, b := range []deploy.Build{
		{},
		{Artifact: "dist"},
		{Run: []string{"make"}, Artifact: "target/shop.war", Cache: []string{"~/.m2", "~/.cache/pip/", "node_modules", "web/node_modules", "targets", "a..b"}},
		{Run: []string{"make"}, Env: map[string]string{"HOME": "/x"}, Cache: []string{"node_modules"}},
		{ArtifactURL: goodURL},
		{ArtifactURL: "http://10.0.0.1:8081/{short}/a%20b.zip?x=1", SHA256URL: "https://other/{commit}", Headers: map[string]string{"PRIVATE-TOKEN": "${T}"}},
		{ArtifactURL: "https://nexus.test/shop-{short}.tar.gz", Timeout: 1, SilenceTimeout: 1, Wait: 1},
	} {
		if err := CheckBuild(b); err != nil {
			t.Errorf("%+v: %v", b, err)
		}
	}
}

func TestABuildSectionThatMakesNoSenseIsNamed(t *testing.T) {
	run := []string{"make"}
	for part, bs := range map[string][]deploy.Build{
		"build.run and build.artifact_url exclude":      {{Run: run, ArtifactURL: goodURL}},
		"build.artifact and build.artifact_url exclude": {{Artifact: "x", ArtifactURL: goodURL}},
		"build.sha256_url goes with":                    {{Run: run, SHA256URL: goodURL}},
		"build.headers go with":                         {{Run: run, Headers: map[string]string{"A": "b"}}},
		"build.cache goes with build.run":               {{Cache: []string{"x"}}, {ArtifactURL: goodURL, Cache: []string{"x"}}},
		"build.run must start with a program":           {{Run: []string{""}}},
		"must be a path within the repository":          {{Artifact: "../x"}, {Artifact: "/x"}, {Artifact: "a\x00b"}},
		"build.artifact_url must hold {commit}":         {{ArtifactURL: "https://nexus.test/latest/shop.war"}},
		"build.sha256_url must hold {commit}":           {{ArtifactURL: goodURL, SHA256URL: "https://nexus.test/sum"}},
		"unknown placeholder": {
			{ArtifactURL: "https://nexus.test/{commit}/{branch}.war"}, {ArtifactURL: "https://${HOST}/{commit}.war"},
			{ArtifactURL: goodURL + "?t=${TOKEN}"}, {ArtifactURL: goodURL, SHA256URL: goodURL + "}"},
		},
		"artifact_url is not understood": {
			{ArtifactURL: "nexus.test/{commit}.war"}, {ArtifactURL: "ftp://nexus.test/{commit}.war"}, {ArtifactURL: "file:///{commit}.war"}, {ArtifactURL: "https:///{commit}.war"},
			{ArtifactURL: "https://nexus.test/x.war#{commit}"}, {ArtifactURL: "https://nexus.test/{commit} x.war"}, {ArtifactURL: "https://nexus.test/{commit}\n.war"}, {ArtifactURL: "https://nexus.test:x/{commit}.war"},
		},
		"holds credentials": {{ArtifactURL: "https://u:canary@nexus.test/{commit}.war"}},
		"must end with the name of a file": {
			{ArtifactURL: "https://nexus.test/{commit}/"}, {ArtifactURL: "https://nexus.test?c={commit}"}, {ArtifactURL: "https://nexus.test/{commit}/.."}, {ArtifactURL: "https://nexus.test/{commit}/.git"},
			{ArtifactURL: "https://nexus.test/{commit}/%2e%2e"}, {ArtifactURL: "https://nexus.test/{commit}/a%2Fb"}, {ArtifactURL: "https://nexus.test/{commit}/-rf"}, {ArtifactURL: "https://nexus.test/{commit}/a%00b"},
			{ArtifactURL: "https://nexus.test/{commit}/a%0ab"}, {ArtifactURL: "https://nexus.test/{commit}/a%5Cb"}, {ArtifactURL: "https://nexus.test/{commit}/" + strings.Repeat("x", 256)}, {ArtifactURL: "https://nexus.test/{commit}/%ff"},
		},
		"is not the name of a header": {{ArtifactURL: goodURL, Headers: map[string]string{"": "x"}}, {ArtifactURL: goodURL, Headers: map[string]string{"A: b": "x"}}, {ArtifactURL: goodURL, Headers: map[string]string{"A\r\nB": "x"}}},
		"is set by the download":      {{ArtifactURL: goodURL, Headers: map[string]string{"host": "x"}}, {ArtifactURL: goodURL, Headers: map[string]string{"Range": "x"}}},
		"must be a folder below": {
			{Run: run, Cache: []string{""}}, {Run: run, Cache: []string{"."}}, {Run: run, Cache: []string{"/var/cache"}}, {Run: run, Cache: []string{"../x"}}, {Run: run, Cache: []string{"a/../b"}}, {Run: run, Cache: []string{"a/.."}},
			{Run: run, Cache: []string{"~"}}, {Run: run, Cache: []string{"~/"}}, {Run: run, Cache: []string{"~/.."}}, {Run: run, Cache: []string{"~root/x"}}, {Run: run, Cache: []string{"~//etc"}}, {Run: run, Cache: []string{"a\x00"}},
		},
		"lie within each other": {{Run: run, Cache: []string{"a", "a/b"}}, {Run: run, Cache: []string{"~/a/b", "~/a"}}, {Run: run, Cache: []string{"a", "./a/"}}},
		"build.env.HOME":        {{Run: run, Env: map[string]string{"HOME": ""}, Cache: []string{"~/.m2"}}},
		"could be shipped":      {{Run: run, Artifact: "target/shop.war", Cache: []string{"target"}}, {Run: run, Artifact: "dist", Cache: []string{"./dist/"}}},
	} {
		for _, b := range bs {
			err := CheckBuild(b)
			if deploy.CodeOf(err) != deploy.CodeInvalid || !strings.Contains(deploy.MessageOf(err), part) || strings.Contains(err.Error(), "canary") {
				t.Errorf("%+v:\n\t%v\nwant: %s", b, err, part)
			}
		}
	}
}
