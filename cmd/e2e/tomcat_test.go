package e2e

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/source/gittest"
)

const tomcatHome = "/usr/share/tomcat10"

// onTomcat makes the app a WAR in two real Tomcats.
func onTomcat(r *rig) {
	if _, err := os.Stat(tomcatHome + "/bin/catalina.sh"); err != nil {
		missing(r.t, "Tomcat is not installed")
	}
	r.app()["runtime"] = object{"tomcat": object{
		"home": tomcatHome, "context": "ROOT", "jvm_options": []string{"-Xmx128m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"},
	}}
	r.app()["build"] = object{"artifact": "target/shop.war"}
	r.app()["env"] = object{"E2E_RIG": r.dir}
	r.health(object{"path": "/healthz.jsp", "timeout": "10s", "healthy_deadline": "90s"})
}

// missing ends the test: where CI=true a part of the rig must be there.
func missing(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// commitWAR adds a version of the web application, as a build would leave it.
func (r *rig) commitWAR(version string) string {
	r.t.Helper()
	war := archive(r.t, map[string]string{
		"WEB-INF/web.xml": `<web-app xmlns="https://jakarta.ee/xml/ns/jakartaee" version="6.0"/>`,
		"healthz.jsp":     "ok",
		"index.jsp":       version + ` <%= System.getenv("RELEASE") %>`,
		"slow.jsp":        `<% Thread.sleep(Long.parseLong(request.getParameter("ms"))); %>` + version,
	})
	return r.repo.Commit("Release "+version+"\n", gittest.Files{"target/shop.war": gittest.Text(war), "pom.xml": gittest.Text("<project/>")})
}

func archive(t *testing.T, files map[string]string) string {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = w.Write([]byte(text))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// frontNginx is an nginx that keeps the front door while the built-in proxy
// does the switching: its upstream never changes.
func (r *rig) frontNginx() string {
	r.t.Helper()
	addr := nginxtest.FreeAddr(r.t)
	nginxtest.Start(r.t, nginxtest.Options{HTTP: fmt.Sprintf(`
    keepalive_requests 1000000;
    upstream edge { server %s max_fails=0; keepalive 64; keepalive_requests 1000000; }
    server {
        listen %s;
        location / {
            proxy_pass http://edge;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }
    }`, r.front, addr)})
	return "http://" + addr
}

// byNginx makes nginx itself the balancer of the environment.
func (r *rig) byNginx(over object) *nginxtest.Server {
	r.t.Helper()
	n := nginxtest.Start(r.t, nginxtest.Options{HTTP: "    keepalive_requests 1000000;"})
	var section object
	if err := json.Unmarshal(n.Settings(over), &section); err != nil {
		r.t.Fatal(err)
	}
	r.env()["balancer"] = object{"nginx": section}
	return n
}

func TestTwoTomcatsTakeTurnsBehindNginxAndTheProxyAndNobodyNotices(t *testing.T) {
	for name, keep := range map[string]string{"the old one stopped at once": "0s", "the old one kept": "5m"} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, onTomcat, func(r *rig) { r.blueGreen()["keep_old"] = keep })
			front := r.frontNginx()
			r.switchUnderLoad(front, users{KeepAlive: 200, OneShot: 20, Slow: 10, SlowPath: "/slow.jsp?ms=3000"}).mustBeSilent(t)
			if got := r.stopped(deploy.Green); got != (keep == "0s") {
				t.Errorf("after a rollback with keep_old %s green stopped = %v", keep, got)
			}
		})
	}
}

func TestTwoTomcatsTakeTurnsUnderAThousandRequestsASecondAndNobodyNotices(t *testing.T) {
	r := newRig(t, onTomcat)
	front := r.frontNginx()
	r.switchUnderLoad(front, users{KeepAlive: 1000, OneShot: 20, Slow: 10, SlowPath: "/slow.jsp?ms=3000"}).mustBeSilent(t)
}

func TestTwoTomcatsTakeTurnsByNginxsOwnReload(t *testing.T) {
	var front string
	r := newRig(t, onTomcat, func(r *rig) { front = r.byNginx(nil).URL })
	l := r.switchUnderLoad(front, users{KeepAlive: 200, OneShot: 20, Slow: 10, SlowPath: "/slow.jsp?ms=3000"})
	l.mustBeSilent(t, oneShot)
	t.Logf("nginx's own reload cost %d keep-alive and %d slow requests in 2 switches", len(l.failed(keepAlive)), len(l.failed(slow)))
}

// switchUnderLoad deploys v1, and under load v2 and then the way back. The load
// goes on.
func (r *rig) switchUnderLoad(front string, u users) *load {
	r.t.Helper()
	r.serve()
	r.api.ends(r.pushed(r.commitWAR("v1")), deploy.Succeeded)
	mustServe(r.t, front, "v1")
	l := startLoad(r.t, front, u)
	r.api.ends(r.pushed(r.commitWAR("v2")), deploy.Succeeded)
	mustServe(r.t, front, "v2")
	if live := r.api.live(); live.Slot != deploy.Green {
		r.t.Errorf("the second release is live on %s", live.Slot)
	}
	mustHold(r.t, "rollback", r.mustCLI("rollback"), "succeeded")
	mustServe(r.t, front, "v1")
	return l
}

// stopped reports whether nothing listens on a slot's port.
func (r *rig) stopped(s deploy.Slot) bool {
	return !listening(r.port(s))
}
