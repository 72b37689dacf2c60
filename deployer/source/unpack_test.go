package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func tarOf(t testing.TB, entries ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range entries {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = h.Linkname
			h.Linkname, h.Size = "", int64(len(body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zipped(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func file(name, body string) tar.Header {
	return tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o640, Linkname: body, ModTime: time.Unix(1_700_000_000, 0), Uid: 1000, Uname: "ci"}
}

func link(name, target string) tar.Header {
	return tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target}
}

func folderOf(name string) tar.Header {
	return tar.Header{Typeflag: tar.TypeDir, Name: name, Mode: 0o700}
}

// delivered is what a build makes of an archive that CI serves under a name.
func delivered(t *testing.T, o Options, name string, archive []byte, test func(c *ci, r deploy.Release, err error)) {
	t.Helper()
	withCI(t, o, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(archive) }, func(c *ci) {
		c.p.Build.ArtifactURL = "http://nexus.test/{commit}/" + name
		r, err := c.build()
		test(c, r, err)
	})
}

func TestAnArchiveOfCIBecomesATree(t *testing.T) {
	run := file("./bin/run", "#!/bin/sh\n")
	run.Mode = 0o700
	plain := tarOf(t, folderOf("./"), folderOf("./bin/"), run, file("./a b", "x"), link("./bin/l", "../a b"), file("./new/sub/f", ""),
		tar.Header{Typeflag: tar.TypeXGlobalHeader, PAXRecords: map[string]string{"comment": "of git archive"}}, file(".git/config", "x"))
	var sums []string
	for name, archive := range map[string][]byte{"shop.tar": plain, "shop.tar.gz": zipped(t, plain), "SHOP.TGZ": zipped(t, plain)} {
		delivered(t, Options{}, name, archive, func(c *ci, r deploy.Release, err error) {
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			want := map[string]string{"a b": "-rw-r--r-- x", "bin/": "drwxr-xr-x ", "bin/l": "Lrwxrwxrwx ../a b", "bin/run": "-rwxr-xr-x #!/bin/sh\n", "new/": "drwxr-xr-x ", "new/sub/": "drwxr-xr-x ", "new/sub/f": "-rw-r--r-- "}
			if got := untar(t, c.w, r.SHA256); !maps.Equal(got, want) || r.Kind != deploy.ArtifactTree || r.Name != "" {
				t.Errorf("%s: %+v holds %v", name, r, got)
			}
			again, err := c.build()
			if err != nil || again != r || len(c.requests()) != 1 {
				t.Errorf("again: %+v, %v, %d requests", again, err, len(c.requests()))
			}
			sums = append(sums, r.SHA256)
		})
	}
	if slices.Sort(sums); len(sums) != 3 || len(slices.Compact(sums)) != 1 {
		t.Errorf("the same tree became %v", sums)
	}
}

func TestAnArchiveThatIsNoTarNameStaysAFile(t *testing.T) {
	for _, name := range []string{"shop.zip", "shop.war", "tar", "shop.tar.xz"} {
		delivered(t, Options{}, name, []byte(theWar), func(_ *ci, r deploy.Release, err error) {
			if err != nil || r.Kind != deploy.ArtifactFile || r.Name != name {
				t.Errorf("%s: %+v, %v", name, r, err)
			}
		})
	}
}

func TestAHostileArchiveIsRefusedAndWritesNothingOutside(t *testing.T) {
	outside := t.TempDir()
	precious := filepath.Join(outside, "precious")
	if err := os.WriteFile(precious, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	hard := tar.Header{Typeflag: tar.TypeLink, Name: "h", Linkname: precious}
	for name, entries := range map[string][]tar.Header{
		"an absolute name":          {file(precious, "evil")},
		"dot dot":                   {file("a/../../evil", "x")},
		"dot dot that stays inside": {file("a/../evil", "x")},
		"an absolute link":          {link("l", outside)},
		"a link out":                {link("a/l", "../../x")},
		"through a link":            {folderOf("d"), link("l", "d"), file("l/precious", "evil")},
		"a folder through a link":   {folderOf("d"), link("l", "d"), folderOf("l/x")},
		"a link through a link":     {folderOf("a/b/c"), link("l", "a/b/c"), link("l/m", "../x")},
		"a link that is replaced":   {link("l", "d"), file("l", "x")},
		"a folder that is a link":   {folderOf("d"), link("l", "d"), folderOf("l")},
		"a file twice":              {file("f", "1"), file("f", "2")},
		"below a file":              {file("f", "1"), file("f/g", "2")},
		"a hard link":               {hard},
		"a pipe":                    {{Typeflag: tar.TypeFifo, Name: "p"}},
		"a device":                  {{Typeflag: tar.TypeChar, Name: "c", Devmajor: 1, Devminor: 3}},
	} {
		delivered(t, Options{}, "x.tar", tarOf(t, entries...), func(_ *ci, _ deploy.Release, err error) {
			if deploy.CodeOf(err) != deploy.CodeFailed || !strings.Contains(deploy.MessageOf(err), "cannot be unpacked") {
				t.Errorf("%s: %v", name, err)
			}
		})
	}
	if b, err := os.ReadFile(precious); err != nil || string(b) != "x" {
		t.Errorf("outside holds %q, %v", b, err)
	}
	if names, _ := readDirNames(outside); len(names) != 1 {
		t.Errorf("outside holds %v", names)
	}
}

func TestADamagedOrTooLargeArchiveIsRefused(t *testing.T) {
	good := tarOf(t, file("f", strings.Repeat("x", 4000)), file("g", "y"))
	bomb := zipped(t, tarOf(t, file("bomb", strings.Repeat("0", 1<<20))))
	badSum := slices.Clone(zipped(t, good))
	badSum[len(badSum)-6] ^= 1
	for name, x := range map[string]struct {
		as      string
		archive []byte
		o       Options
		part    string
	}{
		"cut":            {"x.tar", good[:2000], Options{}, "not a whole tar archive"},
		"cut and zipped": {"x.tgz", zipped(t, good)[:60], Options{}, "not a whole tar archive"},
		"a wrong sum":    {"x.tgz", badSum, Options{}, "not a whole tar archive"},
		"no gzip":        {"x.tgz", good, Options{}, "no archive"},
		"a web page":     {"x.tar", []byte(strings.Repeat("<html>", 200)), Options{}, "not a whole tar archive"},
		"many files":     {"x.tar", good, Options{MaxFiles: 1}, "more than 1 files"},
		"a bomb":         {"x.tgz", bomb, Options{MaxBytes: 100 << 10}, "more than 100.0 KiB"},
	} {
		delivered(t, x.o, x.as, x.archive, func(c *ci, _ deploy.Release, err error) {
			if deploy.CodeOf(err) != deploy.CodeFailed || !strings.Contains(deploy.MessageOf(err), x.part) {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := c.w.known(c.r); ok {
				t.Errorf("%s: a record is left", name)
			}
		})
	}
}
