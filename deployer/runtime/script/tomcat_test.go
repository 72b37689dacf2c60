package script_test

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ipublish/deploy"
)

// home is the distribution's Tomcat, package tomcat10.
const home = "/usr/share/tomcat10"

func installed(t *testing.T) {
	t.Helper()
	if exists(home + "/bin/startup.sh") {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(home + " is not installed: install the package tomcat10")
	}
	t.Skip(home + " is not installed: install the package tomcat10")
}

const serverXML = `<Server port="-1"><Service name="Catalina"><Connector port="%d" address="127.0.0.1" protocol="HTTP/1.1"/>
<Engine name="Catalina" defaultHost="localhost"><Host name="localhost" appBase="webapps"/></Engine></Service></Server>`

// newTomcat is a team's own Tomcat as it stands on their hosts: started by
// startup.sh, with a pid file, and answering 302 at /.
func newTomcat(t *testing.T) *bench {
	t.Helper()
	installed(t)
	b := newBench(t, background)
	b.write("conf/server.xml", fmt.Sprintf(serverXML, b.step.Port))
	web, err := os.ReadFile(home + "/etc/web.xml")
	if err != nil {
		t.Fatal(err)
	}
	b.write("conf/web.xml", string(web))
	for _, dir := range []string{"webapps/ROOT", "work/Catalina/localhost", "logs", "temp"} {
		if err := os.MkdirAll(b.path(dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	b.write("webapps/ROOT/release.txt", "by hand")
	java, err := exec.Command("sh", "-c", `readlink -f "$(command -v java)"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	b.write("bin/setenv.sh", "CATALINA_PID="+b.path("tomcat.pid")+"\nJAVA_OPTS='-Xmx96m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'\nJAVA_HOME="+
		strings.TrimSuffix(strings.TrimSpace(string(java)), "/bin/java")+"\n")
	b.step.Env["CATALINA_BASE"] = b.dir
	b.section = map[string]any{"start": []string{home + "/bin/startup.sh"}, "pid_file": b.path("tomcat.pid"), "log": b.path("logs/catalina.out")}
	b.install(map[string]any{"to": b.path("webapps/ROOT"), "clear": []string{b.path("work/Catalina")}})
	b.version("first")
	return b
}

// version is a release of the application: a page, and a redirect at /.
func (b *bench) version(name string) {
	b.t.Helper()
	b.step.Release.Kind = deploy.ArtifactTree
	for file, text := range map[string]string{
		"release.txt": name, "index.jsp": `<% response.sendRedirect("release.txt"); %>`,
		"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>`,
	} {
		path := filepath.Join(b.step.Dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

// answers waits until / redirects to the page of that release.
func (b *bench) answers(release string) {
	b.t.Helper()
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	base := "http://127.0.0.1:" + strconv.Itoa(b.step.Port)
	eventually(b.t, func() error {
		if status, page := fetch(client, base); status != http.StatusFound || page != release {
			return fmt.Errorf("/ answers %d, and the release is %q, want %q: %s", status, page, release, b.observe().Log)
		}
		return nil
	})
}

func fetch(client http.Client, base string) (status int, page string) {
	first, err := client.Get(base + "/")
	if err != nil {
		return 0, err.Error()
	}
	defer first.Body.Close()
	second, err := client.Get(base + "/release.txt")
	if err != nil {
		return first.StatusCode, err.Error()
	}
	defer second.Body.Close()
	text, err := io.ReadAll(second.Body)
	if err != nil {
		return first.StatusCode, err.Error()
	}
	return first.StatusCode, string(text)
}

func TestATeamsTomcatIsTakenOverReleasedAndStopped(t *testing.T) {
	b := newTomcat(t)
	b.start()
	b.answers("first")
	i := b.shows(func(i deploy.Instance) bool { return i.Owned })
	if i.PortPID != i.PID || i.Key != b.step.Release.Key() || i.Release != b.step.Release.SHA256 || !strings.Contains(i.Log, "Server startup") {
		t.Errorf("it shows %+v", i)
	}
	b.absent("webapps/ROOT.before-ipublish")
	if !strings.Contains(b.read("webapps/ROOT.before-ipublish.tar"), "by hand") {
		t.Error("what was there is not kept")
	}
	b.stop()
	if alive(i.PID) || exists(b.path("tomcat.pid")) {
		t.Error("the process or its pid file is left")
	}
	b.version("second")
	b.section["stop"] = []string{home + "/bin/shutdown.sh"}
	b.start()
	b.answers("second")
	b.stop()
}

func TestATomcatWhosePidFileWasDeletedIsNamedAndNeverTakenForStopped(t *testing.T) {
	b := newTomcat(t)
	b.start()
	b.answers("first")
	i := b.observe()
	if err := os.Remove(b.path("tomcat.pid")); err != nil {
		t.Fatal(err)
	}
	want := "pid file " + b.path("tomcat.pid") + " is gone, but process " + strconv.Itoa(i.PID) + " (java) owns port " + strconv.Itoa(b.step.Port)
	refused(t, b.tryStop(), deploy.CodeForeign, want)
	b.answers("first")
	b.write("tomcat.pid", strconv.Itoa(i.PID))
	b.stop()
}

func TestTwoTomcatsOfOneHostAreReleasedApart(t *testing.T) {
	one, two := newTomcat(t), newTomcat(t)
	one.start()
	two.version("of the other")
	two.start()
	one.answers("first")
	two.answers("of the other")
	one.stop()
	two.answers("of the other")
	two.stop()
}

// Tomcat's own program refuses beside a pid file whose number lives.
func TestATomcatWhosePidWasGivenToAStrangerStartsAgain(t *testing.T) {
	b := newTomcat(t)
	other := stranger(t)
	b.write("tomcat.pid", strconv.Itoa(other))
	old(t, b.path("tomcat.pid"))
	b.start()
	b.answers("first")
	b.stop()
	if !alive(other) {
		t.Error("the stranger was killed")
	}
}
