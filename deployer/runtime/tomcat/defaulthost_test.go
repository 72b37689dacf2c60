package tomcat_test

import (
	"path/filepath"
	"strings"
	"testing"

	"ipublish/deploy"
)

// A team's own virtual host answers for every name that no other has.
func TestATeamsDefaultHostServesTheReleaseOrIsRefused(t *testing.T) {
	home := tarball(t)
	old := filepath.Join(home, "old")
	folder(t, filepath.Join(old, "ROOT"))
	write(t, filepath.Join(old, "ROOT/release.txt"), "of the old application")
	virtual := func(base string) string {
		text := strings.ReplaceAll(serverOfTarball(t), `defaultHost="localhost"`, `defaultHost="shop"`)
		return strings.Replace(text, "</Engine>", `<Host name="Shop" appBase="`+base+`"/></Engine>`, 1)
	}
	runtime := open(t, section(t, map[string]any{"home": home, "jvm_options": small}))
	s := release(t, teamPages)
	write(t, filepath.Join(home, "conf/server.xml"), virtual(old))
	refused(t, runtime.Start(t.Context(), host(t), s), deploy.CodeInvalid, `the Host "shop"`, old, "runtime.tomcat.conf")
	write(t, filepath.Join(home, "conf/server.xml"), virtual("webapps/"))
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
}
