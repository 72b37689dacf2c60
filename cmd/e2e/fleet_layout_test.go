package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/source/gitserve"
	"ipublish/deployer/source/gittest"
)

const (
	tomcatPID     = "tomcat/tomcat.pid"
	apiStatusFile = "status/nginx-status-api.html"
)

// orders is the page that users post to, with a wait if they ask for one.
const orders = `<% String ms = request.getParameter("ms"); if (ms != null) Thread.sleep(Long.parseLong(ms)); %>`

// loginPages are a web application that answers 302 at its root.
func loginPages(version string) map[string]string {
	return map[string]string{
		"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"><welcome-file-list><welcome-file>index.jsp</welcome-file></welcome-file-list></web-app>`,
		"index.jsp":       `<% response.sendRedirect("/login.jsp"); %>`,
		"login.jsp":       version + ` please sign in`,
		"order.jsp":       orders + version,
		"healthz":         "ok",
	}
}

// layout is the source's: nginx on port 80, Tomcat on 9001 started by a script
// with a pid file, and a second application on the same hosts.
type layout struct {
	*fleet
	rig *rig
}

func newLayout(t *testing.T) layout {
	t.Helper()
	if _, err := os.Stat(tomcatHome + "/bin/catalina.sh"); err != nil {
		missing(t, "Tomcat is not installed")
	}
	f := newFleet(t, fleetOptions{Hosts: 2, Beside: []string{"api"}, Locations: `
        location /api/ { proxy_pass http://127.0.0.1:9002/; }
        location / { proxy_pass http://127.0.0.1:9001; }`})
	for _, m := range f.Hosts {
		m.installTomcat()
		m.installAPI()
	}
	r := f.fleetRig(f.asTomcat, f.withAPI)
	return layout{f, r}
}

// installTomcat puts Tomcat where a team has it, with its own start program.
func (m *machine) installTomcat() {
	m.t.Helper()
	for _, dir := range []string{"tomcat/logs", "tomcat/temp", "tomcat/work", "tomcat/webapps", "tomcat/bin"} {
		m.must(os.MkdirAll(m.path(dir), 0o755))
	}
	copied(m.t, "/etc/tomcat10", m.path("tomcat/conf"))
	write(m.t, m.path("tomcat/conf/server.xml"), fmt.Sprintf(tarballServer, 8005, 9001, 8009))
	program(m, "tomcat/bin/startup.sh", `#!/bin/sh
export CATALINA_HOME=`+tomcatHome+` CATALINA_BASE=`+m.on("tomcat")+` CATALINA_PID=`+m.on(tomcatPID)+`
export CATALINA_OPTS="-Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1"
exec sh $CATALINA_HOME/bin/catalina.sh start
`)
}

// installAPI puts the second application's start program beside it.
func (m *machine) installAPI() {
	m.t.Helper()
	self, err := os.Executable()
	m.must(err)
	m.must(os.MkdirAll(m.path("api"), 0o755))
	program(m, "api/start.sh", `#!/bin/sh
cd `+m.on("api/release")+` || exit 1
`+appVar+`=api nohup `+self+` >>`+m.on("api/api.log")+` 2>&1 </dev/null &
echo $! >`+m.on("api/api.pid")+`
`)
}

func program(m *machine, name, text string) {
	m.t.Helper()
	write(m.t, m.path(name), text)
	m.must(os.Chmod(m.path(name), 0o755))
}

// asTomcat makes the app shop a WAR that the team's script starts.
func (f *fleet) asTomcat(r *rig) {
	r.app()["build"] = object{"artifact": "target/shop.war"}
	r.app()["env"] = object{"E2E_RIG": r.dir}
	r.app()["runtime"] = object{"script": object{
		"start": []string{filepath.Join(f.Common, "tomcat/bin/startup.sh")}, "pid_file": filepath.Join(f.Common, tomcatPID),
		"log": filepath.Join(f.Common, "tomcat/logs/catalina.out"),
		"install": []any{object{
			"to":    filepath.Join(f.Common, "tomcat/webapps/ROOT.war"),
			"clear": []string{filepath.Join(f.Common, "tomcat/webapps/ROOT"), filepath.Join(f.Common, "tomcat/work/Catalina")},
		}},
	}}
	r.health(object{"path": "/", "follow_redirects": true, "timeout": "10s", "healthy_deadline": "60s"})
}

// withAPI adds the app api on port 9002 of the same hosts.
func (f *fleet) withAPI(r *rig) {
	repo := gittest.NewRepo(r.t)
	repo.Commit("Release a1\n", behaviour{Version: "a1"}.files())
	env := maps.Clone(r.env())
	maps.Copy(env, object{
		"hosts": f.entries("api"), "balancer": object{"statusfile": f.statusfile("api", apiStatusFile)},
		"strategy": object{"rolling": object{"port": 9002, "max_parallel": 1, "min_healthy": 1}},
	})
	health := maps.Clone(r.app()["health"].(object))
	maps.Copy(health, object{"path": "/healthz", "follow_redirects": false})
	r.config["apps"].(object)["api"] = object{
		"repository": repo.Serve(gitserve.Options{}), "slug": "acme/api", "env": object{"E2E_RIG": r.dir}, "health": health,
		"runtime": object{"script": object{
			"start": []string{filepath.Join(f.Common, "api/start.sh")}, "pid_file": filepath.Join(f.Common, "api/api.pid"),
			"log": filepath.Join(f.Common, "api/api.log"), "install": []any{object{"to": filepath.Join(f.Common, "api/release")}},
		}},
		"environments": object{"production": env},
	}
}

func (l layout) pushPages(version string) deploy.ID {
	l.t.Helper()
	war := archive(l.t, loginPages(version))
	return l.rig.pushed(l.rig.repo.Commit("Release "+version+"\n", gittest.Files{"target/shop.war": gittest.Text(war)}))
}

func TestAFleetInTheLayoutOfTheSourceIsDrilledAndRolledAndAMissingPidFileIsNeverASuccess(t *testing.T) {
	t.Parallel()
	l := newLayout(t)
	r := l.rig
	l.bringUp()
	mustServe(t, l.Front+"/api", "a1")
	if location, _, err := ask("http://" + l.host(1).Addr + ":80/"); err != nil || !strings.HasSuffix(location, "/login.jsp") {
		t.Fatalf("the application's root leads to %q, %v", location, err)
	}
	load := startLoad(t, l.Front+"/order.jsp?p=", users{KeepAlive: 50, OneShot: 10, Slow: 4, SlowPath: "&ms=1000"})
	beside := startLoad(t, l.Front+"/api", users{KeepAlive: 50, OneShot: 10, Slow: 4, SlowPath: "/slow?ms=500"})
	w := watchFloor(t, l.fleet)

	before := l.pids()
	mustHold(t, "drill", r.mustCLI("drill", "shop", "production"), "succeeded")
	w.mustHaveLeft(t, l.Hosts...)
	l.mustRun("v1", l.Hosts...)
	if after := l.pids(); after != before {
		t.Errorf("the drill replaced processes: %s were %s", after, before)
	}
	r.api.ends(l.pushPages("v2"), deploy.Succeeded)
	w.mustHaveLeft(t, l.Hosts...)
	l.mustRun("v2", l.Hosts...)
	beside.mustBeSilent(t)
	if states, err := l.SLB.serversOf("api"); err != nil || states["web-1"] != "UP" || states["web-2"] != "UP" {
		t.Errorf("the other application is %v, %v", states, err)
	}
	l.mustNeverSucceedWithoutItsPidFile()
	load.mustBeSilent(t)
	w.mustHold(t, 1)
}

// bringUp makes the first releases of both applications live.
func (l layout) bringUp() {
	l.t.Helper()
	r := l.rig
	normal := maps.Clone(r.rolling())
	r.rewrite(func() { maps.Copy(r.rolling(), object{"min_healthy": 0, "max_parallel": len(l.Hosts)}) })
	r.api.ends(l.pushPages("v1"), deploy.Succeeded)
	r.rewrite(func() { r.env()["strategy"] = object{"rolling": normal} })
	mustHold(l.t, "deploy api", r.mustCLI("deploy", "api"), "succeeded")
	l.SLB.awaitUp(len(l.Hosts))
}

// pids are those of the Tomcats, as their scripts wrote them down.
func (l layout) pids() string {
	var all []string
	for _, m := range l.Hosts {
		all = append(all, strings.TrimSpace(read(l.t, m.path(tomcatPID))))
	}
	return strings.Join(all, " ")
}

// mustNeverSucceedWithoutItsPidFile deletes it by hand on the second host.
func (l layout) mustNeverSucceedWithoutItsPidFile() {
	l.t.Helper()
	r, m := l.rig, l.host(2)
	pid := strings.TrimSpace(read(l.t, m.path(tomcatPID)))
	m.must(os.Remove(m.path(tomcatPID)))
	id := l.pushPages("v3")
	st := r.api.follow(id, nil)
	if st.Ending == deploy.Succeeded {
		l.t.Error("a deploy succeeded over a process that it could not stop")
	}
	l.t.Logf("without the pid file: %s %s: %s", st.Phase, st.Ending, r.told(id, "web-2", "process "+pid, "9001"))
	l.mustRun("v2", m)
}
