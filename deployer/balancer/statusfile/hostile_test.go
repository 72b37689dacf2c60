package statusfile_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/host/local"
)

// meddle makes the program of that name on the hosts one that does more; the
// text finds the folder of the victim in $victim, and the last argument in $last.
func (r *rig) meddle(program, text string) (victim string) {
	r.t.Helper()
	victim, bin := r.t.TempDir(), r.t.TempDir()
	text = "#!/bin/sh\nvictim='" + victim + "'\nPATH=/usr/bin:/bin\nfor last; do :; done\n" + text
	if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
		r.t.Fatal(err)
	}
	section, err := json.Marshal(map[string]any{"become": []string{"env", "PATH=" + bin + ":" + os.Getenv("PATH")}})
	if err != nil {
		r.t.Fatal(err)
	}
	h, err := local.New(section)
	if err != nil {
		r.t.Fatal(err)
	}
	r.open = func(string) (deployer.Host, error) { return h, nil }
	r.driver = r.openWith(nil)
	return victim
}

func (r *rig) untouched(victim string) {
	r.t.Helper()
	if entries, err := os.ReadDir(victim); err != nil || len(entries) > 0 {
		r.t.Errorf("beyond the link there is %v, %v", entries, err)
	}
}

func TestALinkThatTheFoldersOwnerMakesMeanwhileIsNotFollowed(t *testing.T) {
	const linked = `[ -L "$last" ] || ln -s "$victim" "$last"` + "\n" + `exec mv "$@"`
	t.Run("as the file is taken away and brought back", func(t *testing.T) {
		r := newRig(t, 1, "", nil)
		victim := r.meddle("mv", linked)
		r.route(deploy.OpOut, r.targets[0])
		r.route(deploy.OpIn, r.targets[0])
		r.untouched(victim)
	})
	t.Run("as a new file is put in place", func(t *testing.T) {
		r := newRig(t, 1, "", nil)
		if err := os.Remove(r.path(r.targets[0])); err != nil {
			t.Fatal(err)
		}
		victim := r.meddle("mv", linked)
		r.route(deploy.OpIn, r.targets[0])
		r.untouched(victim)
	})
	t.Run("as a new file is written", func(t *testing.T) {
		r := newRig(t, 1, "", nil)
		if err := os.Remove(r.path(r.targets[0])); err != nil {
			t.Fatal(err)
		}
		victim := r.meddle("mkdir", `mkdir "$@" && rmdir "$last" && ln -s "$victim" "$last"`)
		r.refused(deploy.OpIn, r.targets[0], deploy.CodeFailed, "could not be put in place", "was changed meanwhile")
		r.untouched(victim)
	})
}
