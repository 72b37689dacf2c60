package main_test

import (
	"path"
	"slices"
	"strings"
)

// importsRunOneWay: cmd → drivers → {deployer | bot} → deploy, and store → deploy.
func importsRunOneWay(f file) []string {
	if f.test() {
		return nil
	}
	var out []string
	for to, where := range f.imports() {
		if why := wrongWay(f.dir(), to); why != "" {
			out = append(out, f.at(where, "imports %s: %s", to, why))
		}
	}
	slices.Sort(out)
	return out
}

// wrongWay says why a package must not import another, or nothing.
func wrongWay(from, to string) string {
	own, inside := strings.CutPrefix(to, "ipublish/")
	switch {
	case within(from, "deploy") && !standard(to):
		return "deploy imports the standard library only"
	case within(from, "store") && !standard(to) && !within(own, "store") && own != "deploy" && !within(to, "go.etcd.io/bbolt"):
		return "store imports deploy and bbolt only"
	case !inside:
		return ""
	case within(own, "cmd") && !within(from, "cmd"):
		return "nothing below cmd knows cmd"
	case within(from, "bot") && !within(own, "bot") && own != "deploy":
		return "bot imports deploy and itself only"
	case within(from, "deployer") && !within(own, "deployer") && own != "deploy":
		return "deployer imports deploy and itself only"
	case driver(from) != "" && driver(own) != "" && driver(from) != driver(own):
		return "a driver never imports another driver"
	}
	return ""
}

// driversAreNamedInOnePlace: outside its own folder a driver is named in
// drivers.go; the proxy, which is also a process, where that process is started.
func driversAreNamedInOnePlace(f file) []string {
	if f.test() || f.path == "cmd/ipublish/drivers.go" {
		return nil
	}
	proxyProcess := f.path == "cmd/ipublish/serve.go" || f.path == "cmd/ipublish/worker.go" || within(f.dir(), "cmd/demo")
	var out []string
	for to, where := range f.imports() {
		named := driver(strings.TrimPrefix(to, "ipublish/"))
		if named == "" || within(f.dir(), named) || named == "deployer/balancer/proxy" && proxyProcess {
			continue
		}
		out = append(out, f.at(where, "names the driver %s, which only cmd/ipublish/drivers.go does", to))
	}
	return out
}

// rigs are packages that only tests use.
func rigs() []string {
	return []string{
		"store/storetest", "bot/bottest", "deployer/drivertest", "deployer/sim",
		"deployer/balancer/haproxytest", "deployer/balancer/nginxtest", "deployer/balancer/slbtest",
		"deployer/host/sshtest", "deployer/runtime/systemdtest", "deployer/source/gittest",
	}
}

func rig(dir string) bool {
	return slices.ContainsFunc(rigs(), func(r string) bool { return within(dir, r) })
}

// rigsServeTestsOnly keeps test rigs out of the binary.
func rigsServeTestsOnly(f file) []string {
	if f.test() || rig(f.dir()) {
		return nil
	}
	var out []string
	for to, where := range f.imports() {
		if rig(strings.TrimPrefix(to, "ipublish/")) {
			out = append(out, f.at(where, "imports %s, which is for tests", to))
		}
	}
	return out
}

// driver gives the folder of the driver that a package belongs to, or nothing.
func driver(dir string) string {
	for _, family := range []string{"deployer/host", "deployer/runtime", "deployer/balancer", "bot/chat", "bot/githook"} {
		rest, ok := strings.CutPrefix(dir, family+"/")
		if !ok {
			continue
		}
		name, _, _ := strings.Cut(rest, "/")
		d := path.Join(family, name)
		if rig(d) || slices.Contains(shared(), d) {
			return ""
		}
		return d
	}
	return ""
}

// shared is what the drivers of a family have in common.
func shared() []string {
	return []string{"deployer/host/posix", "deployer/runtime/process", "deployer/runtime/unit", "deployer/balancer/haproxyapi"}
}

// within reports whether a folder is another one or lies below it.
func within(dir, parent string) bool { return dir == parent || strings.HasPrefix(dir, parent+"/") }

// standard reports whether an import path is the standard library's.
func standard(to string) bool {
	first, _, _ := strings.Cut(to, "/")
	return !strings.Contains(first, ".") && first != "ipublish"
}
