package tomcat

import (
	"bytes"
	"context"
	"encoding/json"
	"maps"
	"path"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/runtime/process"
)

// New returns the runtime of a section. deploy.CodeInvalid names the key that
// is wrong.
func New(raw json.RawMessage) (deployer.Runtime, error) {
	s, err := decode(raw)
	if err != nil {
		return nil, err
	}
	return driver{s}, nil
}

type driver struct{ settings settings }

// Start implements deployer.Runtime; see process.Start. Besides,
// deploy.CodeInvalid when the host's installation or its configuration does
// not suit two slots or has no Java, and deploy.CodeDrift when the base folder holds
// what ipublish did not put there.
func (d driver) Start(ctx context.Context, h deployer.Host, s deploy.Step) error {
	set := d.settings.expand(s)
	if err := set.check(s); err != nil {
		return err
	}
	found, err := inspect(ctx, h, s, set)
	if err != nil {
		return err
	}
	edited, err := found.edited(s, set)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(edited)) {
		if err := h.Put(ctx, path.Join(s.Home, "conf", name), 0o600, bytes.NewReader(edited[name])); err != nil {
			return wrap(s, err)
		}
	}
	return process.Start(ctx, h, s, process.Program{
		Argv:    []string{"sh", path.Join(set.Home, "bin/catalina.sh"), "run"},
		Env:     environment(s, set, found),
		User:    set.RunAs,
		Under:   set.Supervisor,
		Prepare: preparation(s, set, found, edited),
	})
}

// Stop implements deployer.Runtime; see process.Stop.
func (driver) Stop(ctx context.Context, h deployer.Host, s deploy.Step) error {
	return process.Stop(ctx, h, s)
}

// Observe implements deployer.Runtime; see process.Observe.
func (driver) Observe(ctx context.Context, h deployer.Host, s deploy.Step) (deploy.Evidence, error) {
	return process.Observe(ctx, h, s)
}

// Enable implements deployer.Enabler; see process.Enable.
func (driver) Enable(ctx context.Context, h deployer.Host, s deploy.Step) error {
	return process.Enable(ctx, h, s)
}

// Advise implements deployer.Adviser; see process.Advise.
func (d driver) Advise(ctx context.Context, h deployer.Host, s deploy.Step) []string {
	return process.Advise(ctx, h, s, d.settings.Supervisor)
}

// environment is the app's, with what Tomcat's own script reads. An ssh session
// has no login profile, so nothing is left to it.
func environment(s deploy.Step, set settings, found installation) map[string]string {
	env := map[string]string{"LANG": found.lang, "TZ": found.zone}
	for name, value := range process.Env(s) {
		env[name] = value
	}
	env["JAVA_HOME"], env["JRE_HOME"] = found.java, found.java
	env["CATALINA_HOME"], env["CATALINA_BASE"], env["CATALINA_TMPDIR"] = set.Home, set.Base, set.Base+"/temp"
	env["CATALINA_OPTS"] = strings.TrimSpace(s.Env["CATALINA_OPTS"] + " " + options(set.JVMOptions))
	return env
}

// options are words for catalina.sh, which reads them as shell text.
func options(words []string) string {
	quoted := make([]string, len(words))
	for i, word := range words {
		quoted[i] = process.Quote(word)
	}
	return strings.Join(quoted, " ")
}

// archive is the file in the release's folder, "" for a tree.
func archive(r deploy.Release) string {
	if r.Kind == deploy.ArtifactFile {
		return r.Name
	}
	return ""
}

func refuse(s deploy.Step, message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "start", Subject: s.Subject(), Message: message}
}

func wrap(s deploy.Step, err error) error {
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "start", Subject: s.Subject(), Err: err}
}
