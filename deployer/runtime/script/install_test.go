package script_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"ipublish/deploy"
)

// artifact makes the bench's release a file of that text.
func (b *bench) artifact(text string) {
	b.t.Helper()
	b.step.Release.Kind, b.step.Release.Name = deploy.ArtifactFile, "shop-1.0.war"
	if err := os.WriteFile(filepath.Join(b.step.Dir, "shop-1.0.war"), []byte(text), 0o755); err != nil {
		b.t.Fatal(err)
	}
}

// tree makes the bench's release a folder with a page of that text.
func (b *bench) tree(text string) {
	b.t.Helper()
	for _, name := range []string{"site/index.html", "target/shop.war"} {
		path := filepath.Join(b.step.Dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			b.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			b.t.Fatal(err)
		}
	}
}

func (b *bench) install(places ...map[string]any) { b.section["install"] = places }

func (b *bench) want(name, text string) {
	b.t.Helper()
	if got := b.read(name); got != text {
		b.t.Errorf("%s holds %q, want %q", name, got, text)
	}
}

func (b *bench) absent(names ...string) {
	b.t.Helper()
	for _, name := range names {
		if exists(b.path(name)) {
			b.t.Errorf("%s is there", name)
		}
	}
}

func TestAFileIsInstalledBeforeTheStartAndWhatWasThereIsKeptOnce(t *testing.T) {
	b := newBench(t, "#!/bin/sh\ncat \"${0%/*}/webapps/ROOT.war\" >\"$1.saw\"\n"+background)
	b.artifact("first")
	b.write("webapps/ROOT.war", "by hand")
	b.write("webapps/ROOT/index.html", "old")
	b.write("webapps/other/index.html", "stays")
	b.write("work/Catalina/x", "old")
	b.install(map[string]any{"to": b.path("webapps/ROOT.war"), "clear": []string{b.path("webapps/ROOT"), b.path("work/Catalina"), b.path("nothing/here")}})
	if err := os.Chmod(b.path("webapps/ROOT.war"), 0o640); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := os.Chown(b.path("webapps/ROOT.war"), 65534, 65534); err != nil {
			t.Fatal(err)
		}
	}
	b.up()
	b.want("app.pid.saw", "first")
	b.want("webapps/ROOT.war.before-ipublish", "by hand")
	b.want("webapps/other/index.html", "stays")
	b.absent("webapps/ROOT", "work/Catalina", "webapps/ROOT.war.ipublish-partial")
	info, err := os.Stat(b.path("webapps/ROOT.war"))
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("it is %v, %v", info, err)
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; os.Getuid() == 0 && uid != 65534 {
		t.Errorf("it is user %d's", uid)
	}
	b.stop()
	b.artifact("second")
	b.up()
	b.want("app.pid.saw", "second")
	b.want("webapps/ROOT.war.before-ipublish", "by hand")
	b.stop()
}

func TestWhatIpublishInstalledIsNotKept(t *testing.T) {
	b := newBench(t, background)
	b.artifact("first")
	b.write("webapps/x", "")
	b.install(map[string]any{"to": b.path("webapps/ROOT.war")})
	b.up()
	b.stop()
	b.artifact("second")
	b.up()
	b.stop()
	b.want("webapps/ROOT.war", "second")
	b.absent("webapps/ROOT.war.before-ipublish")
	b.write("webapps/ROOT.war", "a fix by hand")
	b.up()
	b.want("webapps/ROOT.war", "second")
	b.want("webapps/ROOT.war.before-ipublish", "a fix by hand")
	b.stop()
}

func TestATreeIsSwappedAndAFolderThatWasThereIsKeptAsAnArchive(t *testing.T) {
	b := newBench(t, background)
	b.tree("first")
	b.write("www/old.html", "by hand")
	b.write("jars/x", "")
	b.install(
		map[string]any{"to": b.path("www"), "from": "site"},
		map[string]any{"to": b.path("jars/shop.war"), "from": "target/shop.war"},
		map[string]any{"to": b.path("all")},
	)
	b.up()
	b.stop()
	b.want("www/index.html", "first")
	b.want("jars/shop.war", "first")
	b.want("all/site/index.html", "first")
	b.absent("www/old.html", "all/.ipublish-sha256", "www.ipublish-partial", "www.ipublish-old", "all.before-ipublish.tar", "jars/shop.war.before-ipublish")
	if !strings.Contains(b.read("www.before-ipublish.tar"), "by hand") {
		t.Error("the folder that was there is not kept")
	}
	kept := b.read("www.before-ipublish.tar")
	b.write("www/upload.txt", "written by the application")
	b.tree("second")
	b.up()
	b.stop()
	b.want("www/index.html", "second")
	b.absent("www/upload.txt")
	b.want("www.before-ipublish.tar", kept)
}

func TestAnInstallThatCannotBeChangesNothing(t *testing.T) {
	b := newBench(t, background)
	b.tree("new")
	b.write("web/ROOT.war", "old")
	b.write("work/x", "stays")
	b.write("deep/er/work/x", "stays")
	for name, target := range map[string]string{"linked": b.path("deep"), "deep/out": "/etc"} {
		if err := os.Symlink(target, b.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(b.step.Dir, "etc")); err != nil {
		t.Fatal(err)
	}
	first := map[string]any{"to": b.path("web/ROOT.war"), "from": "target/shop.war", "clear": []string{b.path("work")}}
	for name, c := range map[string]struct {
		place map[string]any
		want  string
	}{
		"a source that is absent":  {map[string]any{"to": b.path("web/x"), "from": "no.war"}, "there is no no.war in the release"},
		"a source outside":         {map[string]any{"to": b.path("web/x"), "from": "etc/hostname"}, "etc/hostname leads out of the release"},
		"a folder that is absent":  {map[string]any{"to": b.path("no/x"), "from": "target/shop.war"}, "there is no folder " + b.path("no")},
		"a folder in a file's way": {map[string]any{"to": b.path("deep/er/work"), "from": "target/shop.war"}, b.path("deep/er/work") + " is a folder on the host"},
		"a file in a folder's way": {map[string]any{"to": b.path("deep/er/work/x"), "from": "site"}, b.path("deep/er/work/x") + " is a file on the host"},
		"clearing what was put":    {map[string]any{"to": b.path("deep/er/x"), "from": "target/shop.war", "clear": []string{b.path("linked/er")}}, b.path("linked/er") + " is a folder that has to stay"},
		"clearing near the root":   {map[string]any{"to": b.path("web/x"), "from": "target/shop.war", "clear": []string{"/proc/self/root/tmp"}}, "/proc/self/root/tmp is a folder that has to stay"},
		"clearing the release":     {map[string]any{"to": b.path("web/x"), "from": "target/shop.war", "clear": []string{b.step.Dir}}, b.step.Dir + " is a folder that has to stay"},
		"clearing the slot's home": {map[string]any{"to": b.path("web/x"), "from": "target/shop.war", "clear": []string{b.step.Home}}, b.step.Home + " is a folder that has to stay"},
	} {
		t.Run(name, func(t *testing.T) {
			b.install(first, c.place)
			refused(t, b.try(), deploy.CodeInvalid, c.want)
			b.want("web/ROOT.war", "old")
			b.want("work/x", "stays")
		})
	}
	if i := b.observe(); i.PID != 0 {
		t.Errorf("it shows %+v", i)
	}
}

func TestClearRemovesALinkAndNotWhatItPointsTo(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.write("data/precious", "stays")
	b.write("web/x", "")
	b.write("real/work/Catalina/x", "goes")
	for name, target := range map[string]string{"web/ROOT": "data", "tomcat": "real"} {
		if err := os.Symlink(b.path(target), b.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.write("web/work/y", "")
	if err := os.Symlink(b.path("data"), b.path("web/work/link")); err != nil {
		t.Fatal(err)
	}
	b.install(map[string]any{"to": b.path("web/ROOT.war"), "clear": []string{b.path("web/ROOT"), b.path("web/work"), b.path("tomcat/work/Catalina")}})
	b.up()
	b.stop()
	b.want("data/precious", "stays")
	b.absent("web/ROOT", "web/work", "real/work/Catalina")
}

func TestALinkThatWasInThePlaceIsReplacedAndKept(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.write("releases/1.war", "old")
	b.write("web/x", "")
	if err := os.Symlink(b.path("releases/1.war"), b.path("web/ROOT.war")); err != nil {
		t.Fatal(err)
	}
	b.install(map[string]any{"to": b.path("web/ROOT.war")})
	b.up()
	b.stop()
	b.want("web/ROOT.war", "new")
	b.want("releases/1.war", "old")
	b.want("web/ROOT.war.before-ipublish", "old")
	if info, err := os.Lstat(b.path("web/ROOT.war")); err != nil || !info.Mode().IsRegular() {
		t.Errorf("it is %v, %v", info, err)
	}
}

func TestAnArtifactThatIsAFileHasNothingWithin(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.install(map[string]any{"to": b.path("web/ROOT.war"), "from": "target/shop.war"})
	refused(t, b.try(), deploy.CodeInvalid, "runtime.script.install.from: the artifact is the file shop-1.0.war")
}

func TestARunningReleaseIsNotInstalledAgain(t *testing.T) {
	b := newBench(t, background)
	b.artifact("new")
	b.write("web/x", "")
	b.install(map[string]any{"to": b.path("web/ROOT.war")})
	b.up()
	b.write("web/ROOT.war", "changed")
	b.start()
	b.want("web/ROOT.war", "changed")
	b.stop()
}
