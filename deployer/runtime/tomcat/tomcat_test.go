package tomcat_test

import (
	"archive/zip"
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
	"ipublish/deployer/runtime/tomcat"
)

// small keeps many Tomcats at a time light.
var small = []string{"-Xmx96m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"}

const (
	install = "/usr/share/tomcat10"
	slow    = `<% response.flushBuffer(); Thread.sleep(5000); %>done`
	webXML  = `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>`
)

func TestTomcatKeepsTheContractOfARuntime(t *testing.T) {
	installed(t)
	drivertest.Runtime(t, drivertest.RuntimeRig{
		Runtime: open(t, `{"jvm_options": ["-Xmx96m", "-Dgreeting=it's $(id) {slot}", "-XX:TieredStopAtLevel=1"], "supervisor": "session"}`), Host: host(t),
		Stage: tree, Ready: "/release.txt", Slow: "/slow.jsp", Boot: 90 * time.Second, Cuts: 1, Extra: inside,
	})
}

// tree is an unpacked application.
func tree(t *testing.T, s deploy.Step) {
	t.Helper()
	for name, text := range pages(s) {
		path := filepath.Join(s.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func pages(s deploy.Step) map[string]string {
	return map[string]string{
		"release.txt": s.Release.Commit.SHA, "slow.jsp": slow, "WEB-INF/web.xml": webXML,
		"env.jsp":      `<%= System.getenv("PORT") + " " + System.getenv("RELEASE") + " " + System.getenv("SLOT") + " " + System.getenv("LANG") + " " + System.getenv("TZ") %>`,
		"greeting.jsp": `<%= System.getProperty("greeting") %>`,
	}
}

// inside checks what the running application was given.
func inside(t *testing.T, s deploy.Step) {
	if got, want := get(t, s, "/env.jsp"), fmt.Sprintf("%d %s green ", s.Port, s.Release.Commit.SHA); !strings.HasPrefix(got, want) || strings.Contains(got, "null") {
		t.Errorf("the environment is %q, want %q with LANG and TZ", got, want)
	}
	if got := get(t, s, "/greeting.jsp"); got != "it's $(id) green" {
		t.Errorf("the JVM's option arrived as %q", got)
	}
	if got := names(t, filepath.Join(s.Home, "base/webapps")); !slices.Equal(got, []string{"ROOT"}) {
		t.Errorf("webapps holds %v", got)
	}
	if got := names(t, filepath.Join(s.Home, "base/webapps/ROOT")); slices.Contains(got, ".ipublish-sha256") {
		t.Errorf("the application holds %v", got)
	}
}

func TestAnArchiveServesBesideAnotherSlotUnderItsContext(t *testing.T) {
	installed(t)
	runtime := open(t, `{"context": "shop", "jvm_options": ["-Xmx96m"]}`)
	var slots []deploy.Step
	for range 2 {
		s := drivertest.RuntimeStep(t)
		s.Release.Kind, s.Release.Name = deploy.ArtifactFile, "shop-1.0.war"
		war(t, s)
		start(t, runtime, s)
		slots = append(slots, s)
	}
	for _, s := range slots {
		answers(t, runtime, s, "/shop/release.txt")
		if i := observe(t, runtime, s); !i.Owned || i.PortPID != i.PID || i.Release != s.Release.SHA256 {
			t.Errorf("the slot shows %+v", i)
		}
	}
	stop(t, runtime, slots[0])
	if i := observe(t, runtime, slots[1]); !i.Running() || !i.Owned {
		t.Errorf("after the other's stop the slot shows %+v", i)
	}
}

func TestABaseThatIsNotIpublishsIsLeftAsItIs(t *testing.T) {
	installed(t)
	for name, marker := range map[string]string{"a user's": "", "another slot's": ".ipublish-slot"} {
		t.Run(name, func(t *testing.T) {
			s := drivertest.RuntimeStep(t)
			tree(t, s)
			base := t.TempDir()
			precious := filepath.Join(base, "webapps", "precious.war")
			if err := os.MkdirAll(filepath.Dir(precious), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{precious, filepath.Join(base, marker)} {
				if path != base && os.WriteFile(path, []byte("/elsewhere\n"), 0o644) != nil {
					t.Fatal("cannot write " + path)
				}
			}
			runtime := open(t, `{"base": "`+filepath.Dir(base)+`/{slot}"}`)
			if err := os.Symlink(base, filepath.Join(filepath.Dir(base), "green")); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { stop(t, runtime, s) })
			refused(t, runtime.Start(t.Context(), host(t), s), deploy.CodeDrift, "/green")
			if _, err := os.Stat(precious); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAHostThatLacksWhatTomcatNeedsIsToldBeforeAnythingStarts(t *testing.T) {
	installed(t)
	s := drivertest.RuntimeStep(t)
	tree(t, s)
	try := func(section string, s deploy.Step) error { return open(t, section).Start(t.Context(), host(t), s) }
	refused(t, try(`{"home": "/nowhere"}`, s), deploy.CodeInvalid, "runtime.tomcat.home", "/nowhere")
	refused(t, try(`{"java_home": "/nowhere/{slot}"}`, s), deploy.CodeInvalid, "runtime.tomcat.java_home", "/nowhere/green")
	refused(t, try(`{"conf": "/nowhere/{port}"}`, s), deploy.CodeInvalid, "runtime.tomcat.conf", "/nowhere/"+strconv.Itoa(s.Port))
	refused(t, try(`{"base": "/srv/{slot}:x"}`, s), deploy.CodeInvalid, "runtime.tomcat.base", "colon")
	jar := s
	jar.Release.Kind, jar.Release.Name = deploy.ArtifactFile, "shop.jar"
	refused(t, try(`{}`, jar), deploy.CodeInvalid, "shop.jar", ".war")
	jar.Release.Name = "absent.war"
	refused(t, try(`{}`, jar), deploy.CodeFailed, "absent.war")
	conf := t.TempDir()
	if err := os.WriteFile(filepath.Join(conf, "server.xml"), []byte("<Server/>"), 0o644); err != nil {
		t.Fatal(err)
	}
	refused(t, try(`{"conf": "`+conf+`"}`, s), deploy.CodeInvalid, conf+"/server.xml", "no HTTP connector")
}

func TestASectionThatIsWrongNamesItsKey(t *testing.T) {
	for section, want := range map[string]string{
		`{"hom": "/x"}`:             "runtime.tomcat.hom: there is no such key; did you mean home?",
		`{"home": "tomcat"}`:        "runtime.tomcat.home: it has to be an absolute path",
		`{"home": 3}`:               "runtime.tomcat.home: it is a number, but has to be text",
		`{"base": "/srv/shop"}`:     "runtime.tomcat.base: both slots would share it",
		`{"base": "shop-{port}"}`:   "runtime.tomcat.base: it has to be an absolute path",
		`{"context": "/shop"}`:      "runtime.tomcat.context",
		`{"context": "a/../b"}`:     "runtime.tomcat.context",
		`{"shutdown_port": 8005}`:   "runtime.tomcat.shutdown_port: both slots would share it",
		`{"sessions": "sticky"}`:    "runtime.tomcat.sessions: it has to be lost, or external",
		`{"run_as": "-x"}`:          "runtime.tomcat.run_as",
		`{"jvm_options": "-Xmx1g"}`: "runtime.tomcat.jvm_options: it is a string, but has to be a list of texts",
		`{"jvm_options": [""]}`:     "runtime.tomcat.jvm_options",
		`{"jvm_options": ["-agentlib:jdwp=transport=dt_socket,server=y,address=*:5005"]}`: "derive it from the slot's",
		`{"jvm_options": ["-Dcom.sun.management.jmxremote.port=9010"]}`:                   "derive it from the slot's",
	} {
		_, err := tomcat.New(json.RawMessage(section))
		refused(t, err, deploy.CodeInvalid, want)
	}
	open(t, `{"base": "/srv/shop-{port}", "jvm_options": ["-Dcom.sun.management.jmxremote.port=1{port}", "-agentlib:jdwp=address=1{port},server=y"]}`)
}

func TestLostSessionsAreACaveatAndExternalOnesAreNot(t *testing.T) {
	for section, want := range map[string][]string{
		``: {"sessions of the old slot are lost at the switch: users have to sign in again (tomcat.sessions: lost)"},
		`{"sessions": "lost", "context": "shop"}`: {"sessions of the old slot are lost at the switch: users have to sign in again (tomcat.sessions: lost)"},
		`{"sessions": "external"}`:                nil,
		`{"sessions": "sticky"}`:                  nil,
	} {
		if got := tomcat.Caveats(json.RawMessage(section)); !slices.Equal(got, want) {
			t.Errorf("%s: the caveats are %q, want %q", section, got, want)
		}
	}
}

func installed(t *testing.T) {
	t.Helper()
	if _, err := os.Stat(install + "/bin/catalina.sh"); err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(install + " is not installed: install the package tomcat10")
	}
	t.Skip(install + " is not installed: install the package tomcat10")
}

// war puts the pages into the release's archive.
func war(t *testing.T, s deploy.Step) {
	t.Helper()
	f, err := os.Create(filepath.Join(s.Dir, s.Release.Name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z := zip.NewWriter(f)
	for name, text := range pages(s) {
		w, err := z.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func open(t *testing.T, section string) deployer.Runtime {
	t.Helper()
	r, err := tomcat.New(json.RawMessage(section))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func host(t *testing.T) deployer.Host {
	t.Helper()
	h, err := local.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func start(t *testing.T, r deployer.Runtime, s deploy.Step) {
	t.Helper()
	t.Cleanup(func() { stop(t, r, s) })
	if err := r.Start(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
}

func stop(t *testing.T, r deployer.Runtime, s deploy.Step) {
	t.Helper()
	if err := r.Stop(context.Background(), host(t), s); err != nil {
		t.Error(err)
	}
}

func observe(t *testing.T, r deployer.Runtime, s deploy.Step) deploy.Instance {
	t.Helper()
	seen, err := r.Observe(t.Context(), host(t), s)
	if err != nil {
		t.Fatal(err)
	}
	return seen.Instances[0]
}

// answers waits until the path gives the release's commit.
func answers(t *testing.T, r deployer.Runtime, s deploy.Step, path string) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(90 * time.Second)
	for {
		text, err := fetch(s, path)
		if err == nil && text == s.Release.Commit.SHA {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s gives %q, %v; the log: %s", path, text, err, observe(t, r, s).Log)
		}
		<-tick.C
	}
}

func get(t *testing.T, s deploy.Step, path string) string {
	t.Helper()
	text, err := fetch(s, path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// ask sends a request as it is written and returns the answer's beginning.
func ask(t *testing.T, s deploy.Step, target string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET "+target+" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

// raw is the whole answer to a request whose target no client would send.
func raw(t *testing.T, s deploy.Step, target string) string {
	t.Helper()
	conn, answer := ask(t, s, target)
	defer conn.Close()
	text, err := io.ReadAll(answer)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.ReplaceAll(string(text), "\r\n", "\n"))
}

func fetch(s deploy.Step, path string) (string, error) {
	answer, err := http.Get("http://127.0.0.1:" + strconv.Itoa(s.Port) + path)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return strings.TrimSpace(string(text)), err
}

func refused(t *testing.T, err error, code deploy.Code, words ...string) {
	t.Helper()
	if deploy.CodeOf(err) != code {
		t.Fatalf("%v: the code is %q, want %q", err, deploy.CodeOf(err), code)
	}
	for _, word := range words {
		if !strings.Contains(deploy.MessageOf(err), word) {
			t.Errorf("%q does not tell %q", deploy.MessageOf(err), word)
		}
	}
}
