package tomcat_test

import (
	"syscall"
	"testing"

	"ipublish/deployer/drivertest"
	"ipublish/deployer/runtime/systemdtest"
)

func TestATomcatOfAUnitComesBackAfterACrashAndNotAfterAStop(t *testing.T) {
	installed(t)
	if !systemdtest.Inside(t) {
		return
	}
	r := open(t, `{"jvm_options": ["-Xmx96m", "-XX:TieredStopAtLevel=1"], "supervisor": "systemd"}`)
	s := drivertest.RuntimeStep(t)
	tree(t, s)
	start(t, r, s)
	answers(t, r, s, "/release.txt")
	first := observe(t, r, s)
	if err := syscall.Kill(first.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	answers(t, r, s, "/release.txt")
	second := observe(t, r, s)
	if !second.Owned || second.PortPID != second.PID || second.PID == first.PID || second.Key != s.Release.Key() || second.Release != s.Release.SHA256 {
		t.Errorf("what was started again shows as %+v", second)
	}
	stop(t, r, s)
	if i := observe(t, r, s); i.Running() || i.PortPID != 0 {
		t.Errorf("after the stop the slot shows %+v", i)
	}
}
