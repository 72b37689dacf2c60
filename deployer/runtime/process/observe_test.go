package process_test

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/runtime/process"
)

func TestAReleaseWhoseFolderLostItsMarkProvesNothing(t *testing.T) {
	s := slot(t)
	start(t, s, script("sleep 600"))
	other := s
	other.Dir = ""
	if i := observe(t, other); i.Release != s.Release.SHA256 {
		t.Errorf("without a folder in the step the slot shows %+v", i)
	}
	write(t, filepath.Join(s.Dir, ".ipublish-sha256"), strings.Repeat("0", 64)+"\n")
	if i := observe(t, s); !i.Running() || i.Release != "" || i.Key != s.Release.Key() {
		t.Errorf("the slot shows %+v", i)
	}
}

func TestTheLogIsItsLastLinesWithoutControlCharacters(t *testing.T) {
	s := slot(t)
	start(t, s, script("sleep 600"))
	write(t, filepath.Join(s.Home, "log"), strings.Repeat("an old line\n", 1000)+"\x1b[31mred\x1b[0m\ttab\r\xff\u009b\nlast")
	i := observe(t, s)
	if len(i.Log) > 4096 || !strings.HasPrefix(i.Log, "an old line\n") || !strings.HasSuffix(i.Log, "\n[31mred[0m\ttab\nlast\n") {
		t.Errorf("the log is %d bytes: %q", len(i.Log), i.Log)
	}
}

func TestAnInstanceNamesItsSlotAndItsHost(t *testing.T) {
	s := slot(t)
	s.Hosts = []deploy.HostID{"web-1"}
	if i := observe(t, s); i.Host != "web-1" || i.Slot != deploy.Green {
		t.Errorf("the slot shows %+v", i)
	}
}

func TestAListenerOfAnotherUserIsThereButNotVisible(t *testing.T) {
	if os.Getuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("this test needs root, to look as another user")
		}
		t.Skip("this test needs root, to look as another user")
	}
	s := drivertest.RuntimeStep(t)
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(s.Port))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nobody := host(t, `{"become": ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]}`)
	seen, err := process.Observe(t.Context(), nobody, s)
	if err != nil {
		t.Fatal(err)
	}
	if i := seen.Instances[0]; i.PortPID != -1 || i.PortStarted != "" || i.Owned || !i.Foreign() {
		t.Errorf("the slot shows %+v", i)
	}
}
