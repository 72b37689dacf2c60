package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// playbook does what the loop does, host by host.
const playbook = `- hosts: web
  serial: 1
  gather_facts: false
  tasks:
    - file: { path: "{{ home }}/releases/{{ version }}", state: directory }
    - unarchive: { src: "{{ tree }}", dest: "{{ home }}/releases/{{ version }}" }
    - file: { src: "{{ home }}/releases/{{ version }}", path: "{{ home }}/current", state: link, force: true }
    - command: "{{ home }}/bin/restart.sh {{ home }}"
    - uri: { url: "http://127.0.0.1:9001/healthz" }
      register: health
      until: health.status == 200
      retries: 50
      delay: 0
`

// ansible runs the playbook as its manual says that it is fast: pipelining on,
// connections kept.
type ansible struct {
	t     *testing.T
	fleet *fleet
	dir   string
}

// newAnsibleWay is nil where Ansible is not installed.
func newAnsibleWay(t *testing.T, n int) *way {
	if _, err := exec.LookPath("ansible-playbook"); err != nil {
		return nil
	}
	f := newBenchFleet(t, n)
	dir, err := os.MkdirTemp("", "an") // the sockets of kept connections lie below it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	a := &ansible{t: t, fleet: f, dir: dir}
	var hosts strings.Builder
	hosts.WriteString("[web]\n")
	for _, m := range f.Hosts {
		fmt.Fprintf(&hosts, "%s ansible_host=%s\n", m.Name, m.Addr)
	}
	fmt.Fprintf(&hosts, "[web:vars]\nansible_user=root\nansible_python_interpreter=/usr/bin/python3\nansible_ssh_private_key_file=%s\n", f.identity)
	write(t, filepath.Join(dir, "hosts"), hosts.String())
	write(t, filepath.Join(dir, "roll.yml"), playbook)
	write(t, filepath.Join(dir, "ansible.cfg"), fmt.Sprintf(`[defaults]
inventory = %[1]s/hosts
host_key_checking = true
[ssh_connection]
pipelining = true
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=30s -o UserKnownHostsFile=%[2]s
control_path_dir = %[1]s/cp
`, dir, f.known))
	return &way{name: "ansible-playbook, serial: 1", fleet: f, roll: a.roll}
}

func (a *ansible) roll(v benchVersion) time.Duration {
	a.t.Helper()
	tree := filepath.Join(a.dir, v.name+".tar")
	write(a.t, tree, string(v.tree(a.t)))
	cmd := exec.Command("ansible-playbook", filepath.Join(a.dir, "roll.yml"),
		"-e", "home="+a.fleet.appHome(), "-e", "version="+v.name, "-e", "tree="+tree)
	cmd.Env = append(os.Environ(), "ANSIBLE_CONFIG="+filepath.Join(a.dir, "ansible.cfg"), "HOME="+a.dir, "LC_ALL=C.UTF-8")
	began := time.Now()
	out, err := cmd.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		a.t.Fatalf("ansible-playbook: %v\n%s", err, out)
	}
	return took
}
