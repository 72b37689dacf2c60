package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/source/gittest"
)

// tarballServer is server.xml as Tomcat's own archive has it, with what teams
// change in it: a connector of their own, AJP, a data source, a valve.
const tarballServer = `<?xml version="1.0" encoding="UTF-8"?>
<Server port="%d" shutdown="SHUTDOWN">
  <Listener className="org.apache.catalina.startup.VersionLoggerListener" />
  <GlobalNamingResources>
    <Resource name="UserDatabase" auth="Container" type="org.apache.catalina.UserDatabase"
              factory="org.apache.catalina.users.MemoryUserDatabaseFactory" pathname="conf/tomcat-users.xml" />
    <Environment name="team/colour" type="java.lang.String" value="green" override="false" />
  </GlobalNamingResources>
  <Service name="Catalina">
    <Connector port="%d" protocol="HTTP/1.1" connectionTimeout="20000" URIEncoding="UTF-8" redirectPort="8443" />
    <Connector protocol="AJP/1.3" address="127.0.0.1" port="%d" secretRequired="false" redirectPort="8443" />
    <Engine name="Catalina" defaultHost="localhost">
      <Host name="localhost" appBase="webapps" unpackWARs="true" autoDeploy="true">
        <Valve className="org.apache.catalina.valves.AccessLogValve" directory="logs" prefix="access" suffix=".txt" pattern="%%h %%m %%U %%s" />
      </Host>
    </Engine>
  </Service>
</Server>
`

// theHeaders is what the application sees of the four headers of the source text.
const theHeaders = `<% for (String n : new String[]{"Host", "X-Real-IP", "REMOTE-HOST", "X-Forwarded-For"}) { %><%= n %>=<%= request.getHeader(n) %>
<% } %>`

// shop are the pages of one version of the web application.
func shop(version string) map[string]string {
	return map[string]string{
		"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>`,
		"index.jsp":       version + ` <%= System.getenv("RELEASE") %>`,
		"headers.jsp":     theHeaders,
		"login.jsp":       `<% response.sendRedirect("/index.jsp"); %>`,
		"colour.jsp":      `<%= new javax.naming.InitialContext().lookup("java:comp/env/team/colour") %>`,
	}
}

// team is a hand-installed Tomcat in the archive's layout, started by hand.
type team struct {
	home string
	cmd  *exec.Cmd
}

// handInstalled installs and starts Tomcat as the team did it: everything in one
// folder, version v0 in webapps beside the samples.
func (r *rig) handInstalled() *team {
	r.t.Helper()
	if _, err := os.Stat(tomcatHome + "/bin/catalina.sh"); err != nil {
		missing(r.t, "Tomcat is not installed")
	}
	home := filepath.Join(r.dir, "apache-tomcat")
	for _, dir := range []string{"logs", "temp", "work", "webapps/examples", "webapps/manager"} {
		if err := os.MkdirAll(filepath.Join(home, dir), 0o755); err != nil {
			r.t.Fatal(err)
		}
	}
	copied(r.t, tomcatHome+"/bin", home+"/bin")
	copied(r.t, tomcatHome+"/lib", home+"/lib")
	copied(r.t, "/etc/tomcat10", home+"/conf")
	compiler, _ := filepath.Glob("/usr/share/java/eclipse-jdt*.jar") // what Debian's jasper.jar finds beside itself
	for _, jar := range compiler {
		copied(r.t, jar, home+"/lib/")
	}
	write(r.t, home+"/conf/server.xml", fmt.Sprintf(tarballServer, freePort(r.t), r.blue, freePort(r.t)))
	write(r.t, home+"/conf/context.xml", `<Context useRelativeRedirects="false"><ResourceLink name="team/colour" global="team/colour" type="java.lang.String"/></Context>`)
	write(r.t, home+"/webapps/ROOT.war", archive(r.t, shop("v0")))
	write(r.t, home+"/webapps/examples/index.html", "a sample")
	out, err := os.Create(filepath.Join(r.dir, "catalina.out"))
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	t := &team{home: home, cmd: exec.Command("sh", home+"/bin/catalina.sh", "run")}
	t.cmd.Env = append(os.Environ(), r.mark(), "CATALINA_HOME="+home, "CATALINA_BASE="+home, "CATALINA_OPTS=-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1")
	t.cmd.Stdout, t.cmd.Stderr = out, out
	t.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := t.cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		_ = t.cmd.Process.Kill() // it may have ended as the test wants it
		_ = t.cmd.Wait()
	})
	eventually(r.t, 90*time.Second, "the hand-installed Tomcat answers", func() bool {
		_, body, err := ask(fmt.Sprintf("http://127.0.0.1:%d/index.jsp", r.blue))
		return err == nil && strings.HasPrefix(body, "v0")
	})
	return t
}

// copied copies a folder, following links.
func copied(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-RL", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copy %s: %v: %s", from, err, out)
	}
}

// onTeamTomcat makes the app a WAR for slots made from the team's installation.
func (r *rig) onTeamTomcat(home string) {
	onTomcat(r)
	maps.Copy(r.app()["runtime"].(object)["tomcat"].(object), object{"home": home, "sessions": "lost"})
	r.health(object{"path": "/login.jsp", "follow_redirects": false, "expect_status": []int{302}})
	r.blueGreen()["keep_old"] = "5m"
}

func (r *rig) pushShop(version string) deploy.ID {
	r.t.Helper()
	return r.pushed(r.repo.Commit("Release "+version+"\n", gittest.Files{"target/shop.war": gittest.Text(archive(r.t, shop(version)))}))
}

// ask is one GET that follows nothing.
func ask(url string) (location, body string, err error) {
	c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := c.Get(url)
	if err != nil {
		return "", "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	return res.Header.Get("Location"), string(text), err
}

// seen is what the application sees of a user, and where it sends one.
func (r *rig) seen(front string) string {
	r.t.Helper()
	_, headers, err := ask(front + "/headers.jsp")
	location, _, lerr := ask(front + "/login.jsp")
	_, colour, cerr := ask(front + "/colour.jsp")
	if err != nil || lerr != nil || cerr != nil {
		r.t.Fatal(err, lerr, cerr)
	}
	return strings.TrimSpace(headers) + "\nLocation=" + location + "\ncolour=" + strings.TrimSpace(colour)
}

// proxied are the four headers of the source text's nginx.
const proxied = `proxy_set_header Host $http_host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header REMOTE-HOST $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`

// ownNginx is the team's nginx with its own upstream of the two Tomcats.
func (r *rig) ownNginx() *nginxtest.Server {
	r.t.Helper()
	return nginxtest.Start(r.t, nginxtest.Options{Upstream: "tomcat", Own: fmt.Sprintf(`
    upstream tomcat {
        server 127.0.0.1:%d weight=1;
        server 127.0.0.1:%d weight=1 down;
    }
    server {
        listen {front};
        location / {
            proxy_pass http://tomcat;
            %s
        }
    }
`, r.blue, r.green, proxied)})
}

func TestAHandInstalledTomcatBehindTheTeamsOwnNginxIsAdoptedAndReleasedAndNobodyNotices(t *testing.T) {
	var n *nginxtest.Server
	var hand *team
	r := newRig(t, func(r *rig) {
		hand, n = r.handInstalled(), r.ownNginx()
		r.byServer(n)
		r.onTeamTomcat(hand.home)
	})
	r.serve()
	front := strings.TrimSuffix(n.URL, "/")
	before := r.seen(front)
	l := startLoad(t, front, users{OneShot: 200})

	out, bad, exit := r.cli("adopt", "shop", "production")
	if exit == 0 {
		t.Fatal("adopted over the team's own upstream")
	}
	r.follow(out+bad, n)
	mustHold(t, "adopt", r.mustCLI("adopt", "shop", "production"), "succeeded")
	mustServe(t, front, "v0")

	id := r.pushShop("v1")
	r.api.ends(id, deploy.Succeeded)
	r.told(id, "succeeded", "kill "+strconv.Itoa(r.tomcatPID(r.blue)), "sessions")
	mustServe(t, front, "v1")
	if after := r.seen(front); after != before {
		t.Errorf("the application sees\n%s\nand saw\n%s", after, before)
	}
	mustHold(t, "rollback", r.mustCLI("rollback"), "succeeded")
	mustServe(t, front, "v0")
	l.mustBeSilent(t)
	r.mustKeepTheTeamsFile(hand)
	mustHold(t, "the next deploy without its port", r.refusedWhileAdoptedRuns(), "was adopted", "kill ")
}

// byServer makes this nginx the environment's balancer.
func (r *rig) byServer(n *nginxtest.Server) {
	r.t.Helper()
	var section object
	if err := json.Unmarshal(n.Settings(nil), &section); err != nil {
		r.t.Fatal(err)
	}
	r.env()["balancer"] = object{"nginx": section}
}

// follow does what the refusal says: it deletes the lines that it names and puts
// the include in their place.
func (r *rig) follow(advice string, n *nginxtest.Server) {
	r.t.Helper()
	r.t.Logf("the advice is:\n%s", advice)
	conf := filepath.Join(n.Dir, "nginx.conf")
	m := regexp.MustCompile(regexp.QuoteMeta(conf) + `\D{0,12}(\d+)\D{1,6}(\d+)`).FindStringSubmatch(advice)
	if m == nil || !strings.Contains(advice, "include "+n.Include) {
		r.t.Fatalf("the advice names neither the lines of %s nor the include", conf)
	}
	from, _ := strconv.Atoi(m[1])
	to, _ := strconv.Atoi(m[2])
	lines := strings.Split(read(r.t, conf), "\n")
	if !strings.Contains(lines[from-1], "upstream tomcat {") || strings.TrimSpace(lines[to-1]) != "}" {
		r.t.Fatalf("lines %d to %d are %q", from, to, lines[from-1:to])
	}
	lines = append(append(lines[:from-1:from-1], "    include "+n.Include+";"), lines[to:]...)
	write(r.t, conf, strings.Join(lines, "\n"))
	n.Reload() // anybody may reload at any time: the include is there already
}

// tomcatPID is who listens on a port.
func (r *rig) tomcatPID(port int) int {
	r.t.Helper()
	live := r.api.live()
	for _, slot := range live.Slots {
		for _, in := range slot.Instances {
			if in.PortPID != 0 && in.Slot == deploy.Blue && port == r.blue {
				return in.PortPID
			}
		}
	}
	r.t.Fatalf("the journal does not know who listens on port %d: %+v", port, live)
	return 0
}

// mustKeepTheTeamsFile wants the slot's server.xml to be the team's but for its ports.
func (r *rig) mustKeepTheTeamsFile(hand *team) {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(r.dir, "releases", "shop", "production", "green", "*", "conf", "server.xml"))
	if err != nil || len(files) != 1 {
		r.t.Fatalf("server.xml of green: %v, %v", files, err)
	}
	got := read(r.t, files[0])
	for _, want := range []string{`URIEncoding="UTF-8"`, "team/colour", "AccessLogValve", `port="-1" shutdown`, fmt.Sprintf(`port="%d"`, r.green)} {
		if !strings.Contains(got, want) {
			r.t.Errorf("the slot's server.xml lacks %s", want)
		}
	}
	if strings.Contains(got, "AJP") || !strings.Contains(read(r.t, hand.home+"/conf/server.xml"), "AJP") {
		r.t.Error("AJP is in the slot's server.xml, or gone from the team's")
	}
}

// refusedWhileAdoptedRuns deploys v2, goes back to where the adopted one keeps
// the port that v3 would need, and returns what v3 is told.
func (r *rig) refusedWhileAdoptedRuns() string {
	r.t.Helper()
	r.mustCLI("unlock", "shop", "production")
	r.api.ends(r.pushShop("v2"), deploy.Succeeded)
	id := r.pushShop("v3")
	r.api.ends(id, deploy.Failed)
	return r.told(id, "failed")
}

func TestAHandInstalledTomcatIsAdoptedBehindNginxAndTheProxyAndKeepAliveUsersNoticeNothing(t *testing.T) {
	var hand *team
	r := newRig(t, func(r *rig) {
		hand = r.handInstalled()
		r.onTeamTomcat(hand.home)
	})
	front := r.teamsNginxBeforeTheProxy()
	r.serve()
	mustHold(t, "adopt", r.mustCLI("adopt", "shop", "production"), "succeeded")
	before := r.seen(front)
	l := startLoad(t, front, users{KeepAlive: 200, OneShot: 20})
	r.api.ends(r.pushShop("v1"), deploy.Succeeded)
	mustServe(t, front, "v1")
	if after := r.seen(front); after != before || !strings.Contains(after, "Location="+front+"/") {
		t.Errorf("the application sees\n%s\nand saw\n%s", after, before)
	}
	mustHold(t, "rollback", r.mustCLI("rollback"), "succeeded")
	mustServe(t, front, "v0")
	l.mustBeSilent(t)
}

// teamsNginxBeforeTheProxy is the team's nginx whose upstream is the built-in proxy.
func (r *rig) teamsNginxBeforeTheProxy() string {
	r.t.Helper()
	n := nginxtest.Start(r.t, nginxtest.Options{Upstream: "edge", Own: fmt.Sprintf(`
    keepalive_requests 1000000;
    upstream edge { server %s max_fails=0; keepalive 64; keepalive_requests 1000000; }
    server {
        listen {front};
        location / {
            proxy_pass http://edge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            %s
        }
    }
`, r.front, proxied)})
	return strings.TrimSuffix(n.URL, "/")
}
