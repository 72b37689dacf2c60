package script_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/host/local"
)

// meddled starts the release on a host whose program of that name does more.
func (b *bench) meddled(program, text string) error {
	b.t.Helper()
	bin := b.t.TempDir()
	text = "#!/bin/sh\nPATH=/usr/bin:/bin\nbench='" + b.dir + "'\nfor last; do :; done\n" + text
	if err := os.WriteFile(filepath.Join(bin, program), []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
	section, err := json.Marshal(map[string]any{"become": []string{"env", "PATH=" + bin + ":" + os.Getenv("PATH")}})
	if err != nil {
		b.t.Fatal(err)
	}
	h, err := local.New(section)
	if err != nil {
		b.t.Fatal(err)
	}
	return b.runtime().Start(b.t.Context(), h, b.step)
}

// only wants nothing else in a folder of the bench.
func (b *bench) only(folder string, names ...string) {
	b.t.Helper()
	entries, err := os.ReadDir(b.path(folder))
	if err != nil || len(entries) != len(names) {
		b.t.Fatalf("%s holds %v, %v, want %q", folder, entries, err, names)
	}
	for i, name := range names {
		if entries[i].Name() != name {
			b.t.Errorf("%s holds %s, want %s", folder, entries[i].Name(), name)
		}
	}
}

func TestNothingIsInstalledThroughALinkThatTheApplicationMakesMeanwhile(t *testing.T) {
	for name, c := range map[string]struct{ program, text string }{
		"in the place of the new file's folder": {"mkdir", `mkdir "$@" && case $last in *partial) rmdir "$last" && ln -s "$bench/victim" "$last" ;; esac`},
		"in the place of the folder, late":      {"cp", `[ -L "$bench/web" ] || { mv "$bench/web" "$bench/was" && ln -s "$bench/victim" "$bench/web"; }` + "\n" + `exec cp "$@"`},
		"in the place of the file":              {"mv", `case $last in ../ROOT.war*) rm -f "$last"; ln -s "$bench/victim" "$last" ;; esac` + "\n" + `exec mv "$@"`},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, background)
			b.artifact("new")
			b.write("web/ROOT.war", "old")
			b.write("victim/precious", "stays")
			b.install(map[string]any{"to": b.path("web/ROOT.war")})
			err := b.meddled(c.program, c.text)
			if c.program == "mkdir" {
				refused(t, err, deploy.CodeFailed, "the release could not be installed", "was changed by somebody else")
				b.want("web/ROOT.war", "old")
			} else if err != nil {
				t.Error(err)
			}
			b.only("victim", "precious")
			b.want("victim/precious", "stays")
		})
	}
}

func TestAFolderThatWasThereIsNotMovedThroughALink(t *testing.T) {
	b := newBench(t, background)
	b.tree("new")
	b.write("www/old.html", "old")
	b.write("victim/precious", "stays")
	b.install(map[string]any{"to": b.path("www"), "from": "site"})
	if err := b.meddled("mv", `ln -sT "$bench/victim" "$bench/www.ipublish-old" 2>/dev/null`+"\n"+`exec mv "$@"`); err != nil {
		t.Error(err)
	}
	b.want("www/index.html", "new")
	b.only("victim", "precious")
}

func TestNothingIsClearedOnceItsFolderIsAnotherOne(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.write("web/x", "")
	b.write("work/Catalina/x", "goes")
	b.write("victim/Catalina/precious", "stays")
	b.install(map[string]any{"to": b.path("web/ROOT.war"), "clear": []string{b.path("work/Catalina")}})
	err := b.meddled("cp", `mv "$bench/work" "$bench/was" && ln -s victim "$bench/work"`+"\n"+`exec cp "$@"`)
	refused(t, err, deploy.CodeFailed, b.path("work")+" is not the folder any more that it was a moment ago")
	b.want("victim/Catalina/precious", "stays")
}

func TestAnInstalledFileTakesNoSpecialRightsFromWhatWasInItsPlace(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.write("tool", "")
	b.write("web/x", "")
	if err := os.Chmod(b.path("tool"), 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(b.path("tool"), b.path("web/ROOT.war")); err != nil {
		t.Fatal(err)
	}
	b.install(map[string]any{"to": b.path("web/ROOT.war")})
	b.up()
	if info, err := os.Stat(b.path("web/ROOT.war")); err != nil || info.Mode() != 0o755 {
		t.Errorf("it is %v, %v", info.Mode(), err)
	}
	b.stop()
}
