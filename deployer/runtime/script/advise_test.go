package script_test

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
)

// appctl puts the script that many teams have today on the host.
func (b *bench) appctl() string {
	b.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "appctl.sh"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.program("appctl.sh", string(text))
	return b.path("appctl.sh")
}

func (b *bench) advice() []string {
	b.t.Helper()
	adviser, ok := b.runtime().(deployer.Adviser)
	if !ok {
		b.t.Fatal("the runtime advises nothing")
	}
	return adviser.Advise(b.t.Context(), host(b.t), b.step)
}

// advised is that there is one piece of advice for each list of words.
func (b *bench) advised(wants ...[]string) {
	b.t.Helper()
	got := b.advice()
	if len(got) != len(wants) {
		b.t.Errorf("there are %d pieces of advice, want %d: %q", len(got), len(wants), got)
		return
	}
	for i, words := range wants {
		for _, word := range words {
			if !strings.Contains(got[i], word) {
				b.t.Errorf("%q does not tell %q", got[i], word)
			}
		}
	}
}

func TestTheScriptThatGoesOnlineByItselfIsCaught(t *testing.T) {
	b := newBench(t, background)
	ctl := b.appctl()
	b.section["start"], b.section["stop"] = []string{ctl, "start"}, []string{ctl, "stop"}
	b.advised(
		[]string{"runtime.script.start: `" + ctl + " start` also changes who receives traffic", "line 25: `touch -m \"$STATUS_FILE\"`", "configure its inner part, start: [/usr/java/tomcat/bin/startup.sh]"},
		[]string{"runtime.script.stop: `" + ctl + " stop` also changes who receives traffic", "line 31: `rm -f \"$STATUS_FILE\"`", "leave stop out, and the process of pid_file gets SIGTERM and all of stop_timeout"},
		[]string{"runtime.script.stop: `" + ctl + " stop` kills without waiting", "`kill -9 $(cat \"$PID_FILE\")`"},
		[]string{"runtime.script.start: `" + ctl + " start` waits for a fixed time", "`sleep ${ONLINE_OFFLINE_WAIT_TIME}`"},
		[]string{"runtime.script.stop: `" + ctl + " stop` waits for a fixed time", "`sleep ${ONLINE_OFFLINE_WAIT_TIME}`"},
	)
}

func TestThePartsOfAScriptThatAreNotMeantAreNotHeldAgainstIt(t *testing.T) {
	const clean = `#!/bin/sh
online() { touch /usr/share/nginx/nginx-status.html; }
launch() {
	until test -f ready; do
		sleep 1
	done
	/opt/app/run.sh # then online
}
`
	for name, text := range map[string]string{
		"a case":      clean + "case $1 in\nup|start)\n\tcase $2 in x) true ;; esac\n\tlaunch\n\t;;\nonline) online ;;\nesac\n",
		"tests":       clean + "if [ \"$1\" = \"start\" ]; then\n\tlaunch\nelif [ \"$1\" = online ]; then\n\tif true; then\n\tonline\n\tfi\nelse\n\tkill -9 1\nfi\n",
		"a dispatch":  clean + "start() {\nlaunch\n}\n\"$1\"\n",
		"a main":      clean + "main() {\ncase $1 in\nstart) launch ;;\nonline) online ;;\nesac\n}\nmain \"$@\"\n",
		"only in use": "#!/bin/sh\necho usage: online, offline or kill -15 it\nmkdir -p /data/status\n",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, text)
			b.section["start"] = []string{b.path("start.sh"), "start"}
			b.advised()
			if name != "only in use" {
				b.section["start"] = []string{"sh", b.path("start.sh"), "online"}
				if len(b.advice()) == 0 {
					t.Error("online goes unnoticed")
				}
			}
		})
	}
}

func TestWhatAScriptRunsOrReadsInIsReadToo(t *testing.T) {
	for name, call := range map[string]string{
		"runs":               "sh /HERE/inner.sh",
		"runs by its path":   "\"$BASE/inner.sh\" now",
		"reads in":           ". $(dirname \"$0\")/inner.sh",
		"reads in, the same": "source ${0%/*}/inner.sh",
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, "")
			b.program("start.sh", "#!/bin/bash\nBASE=$(cd \"$(dirname \"$0\")\" && pwd)\nBASE="+b.dir+"\n"+strings.ReplaceAll(call, "/HERE", b.dir)+"\n")
			b.program("inner.sh", "#!/bin/sh\nnginx -s reload\nsleep 5\n")
			b.advised([]string{"also changes who receives traffic (" + b.path("inner.sh") + " line 2: `nginx -s reload`)", "configure the program within it"}, []string{"waits for a fixed time", "line 3: `sleep 5`"})
		})
	}
}

func TestEveryWayToTouchTrafficOrToKillIsSeen(t *testing.T) {
	for _, command := range []string{
		"touch /data/status/nginx-status", "rm -f /srv/www/health.html", "echo ok >/srv/www/status.html", "mv a.html /x/nginx-status.html",
		"go_offline", "/opt/bin/offline.sh", "sh /opt/bin/appctl.sh offline", "systemctl reload nginx", "sudo nginx -s stop",
		"pkill -9 java", "kill -KILL $pid", "kill -s SIGKILL 4", "sleep 20", "sleep $WAIT",
	} {
		b := newBench(t, "")
		b.program("start.sh", "#!/bin/sh\n# \xc6\xf4\xb6\xaf\n"+command+"\n")
		if got := b.advice(); len(got) != 1 || !strings.Contains(got[0], "`"+command+"`") {
			t.Errorf("%s: the advice is %q", command, got)
		}
	}
}

func TestTomcatsOwnProgramsAreFineUnlessForced(t *testing.T) {
	installed(t)
	b := newBench(t, background)
	b.section["start"], b.section["stop"] = []string{home + "/bin/startup.sh"}, []string{home + "/bin/shutdown.sh"}
	b.advised()
	b.section["start"], b.section["stop"] = []string{"sh", home + "/bin/catalina.sh", "start"}, []string{home + "/bin/catalina.sh", "stop", "5", "-force"}
	b.advised([]string{"kills by -force"})
}

func TestProgramsAndPlacesThatDoNotSuitAreTold(t *testing.T) {
	b := newBench(t, background)
	b.section["start"], b.section["stop"] = []string{b.path("absent.sh")}, []string{"no-such-program", "x"}
	b.install(map[string]any{"to": b.path("no/ROOT.war")})
	b.advised([]string{"there is no program " + b.path("absent.sh")}, []string{"there is no program no-such-program"}, []string{"there is no folder " + b.path("no")})
	if err := os.Chmod(b.path("start.sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	b.section["start"], b.section["install"] = []string{b.path("start.sh"), b.path("app.pid")}, []any{}
	delete(b.section, "stop")
	b.advised([]string{"may not execute " + b.path("start.sh"), "`chmod +x " + b.path("start.sh") + "`"})
	b.section["start"] = []string{"sh", b.path("start.sh"), b.path("app.pid")}
	b.advised()
	b.install(map[string]any{"to": "/proc/self/ROOT.war"})
	b.advised([]string{"the deploy user cannot write into /proc/self"})
}

func TestAHostThatCannotBeAskedGivesNoAdvice(t *testing.T) {
	b := newBench(t, "#!/bin/sh\nsleep 20\n")
	adviser := b.runtime().(deployer.Adviser)
	if got := adviser.Advise(t.Context(), gone{}, b.step); got != nil {
		t.Errorf("the advice is %q", got)
	}
	if got := adviser.Advise(t.Context(), host(t), deploy.Step{}); got != nil {
		t.Errorf("the advice is %q", got)
	}
}

// gone is a host that cannot be reached.
type gone struct{}

var errGone = errors.New("gone")

func (gone) Run(context.Context, []string, io.Reader) ([]byte, error) { return nil, errGone }

func (gone) Put(context.Context, string, uint32, io.Reader) error { return errGone }

func (gone) Dial(context.Context, string, string) (net.Conn, error) { return nil, errGone }
