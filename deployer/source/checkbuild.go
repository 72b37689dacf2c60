package source

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"ipublish/deploy"
)

// CheckBuild says what is wrong with a build section, the first thing if there
// are several; nil if nothing is. It does no I/O and resolves no reference.
// Always deploy.CodeInvalid, with a message that names the key.
//
// A section either runs something (run, artifact, env, cache), ships the tree
// (artifact alone or nothing), or downloads what CI built (artifact_url,
// headers, sha256_url). Plain http is accepted in artifact_url and sha256_url,
// for a server of the own network: what it serves, and the headers, can then be
// read and changed on the way.
func CheckBuild(b deploy.Build) error {
	if b.ArtifactURL != "" {
		return checkDelivery(b)
	}
	switch {
	case b.SHA256URL != "":
		return unsound("build.sha256_url goes with build.artifact_url only")
	case len(b.Headers) > 0:
		return unsound("build.headers go with build.artifact_url only")
	case b.Artifact != "" && (!filepath.IsLocal(b.Artifact) || strings.ContainsRune(b.Artifact, 0)):
		return unsound("build.artifact %q must be a path within the repository", clip(b.Artifact, 200))
	case len(b.Run) > 0 && b.Run[0] == "":
		return unsound("build.run must start with a program")
	}
	return checkCache(b)
}

func unsound(format string, args ...any) error {
	return fault(deploy.CodeInvalid, "build", "", fmt.Sprintf(format, args...), nil)
}

func checkDelivery(b deploy.Build) error {
	switch {
	case len(b.Run) > 0:
		return unsound("build.run and build.artifact_url exclude each other: either this bot builds or CI does")
	case b.Artifact != "":
		return unsound("build.artifact and build.artifact_url exclude each other: the file at the URL is the artifact")
	case len(b.Cache) > 0:
		return unsound("build.cache goes with build.run only")
	}
	if err := checkURL("build.artifact_url", b.ArtifactURL); err != nil {
		return err
	}
	if b.SHA256URL != "" {
		if err := checkURL("build.sha256_url", b.SHA256URL); err != nil {
			return err
		}
	}
	if _, err := deliveredName(b.ArtifactURL, anyCommit); err != nil {
		return err
	}
	for name := range b.Headers {
		if err := checkHeader(name); err != nil {
			return err
		}
	}
	return nil
}

// anyCommit stands for the commit where only the form matters.
const anyCommit = "0000000000000000000000000000000000000000"

func checkURL(key, text string) error {
	if !strings.Contains(text, "{commit}") && !strings.Contains(text, "{short}") {
		return unsound("%s must hold {commit} or {short}: without it every commit would get the same file", key)
	}
	whole := ofCommit(text, anyCommit)
	if strings.ContainsAny(whole, "{}") {
		return unsound("%s holds an unknown placeholder: only {commit} and {short} are replaced, and secrets belong in build.headers", key)
	}
	u, err := url.Parse(whole)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Fragment != "" || strings.ContainsAny(whole, " #\\") {
		return unsound("%s is not understood: write https://HOST/PATH with {commit} or {short} in it", key)
	}
	if u.User != nil {
		return unsound("%s holds credentials, which would be journaled with every plan: put them in build.headers as ${NAME} or ${file:/path}", key)
	}
	return nil
}

// ofCommit replaces the placeholders of a URL. The commit is hex: it is safe anywhere.
func ofCommit(text, commit string) string {
	return strings.NewReplacer("{commit}", commit, "{short}", deploy.Short(commit)).Replace(text)
}

// deliveredName is the base name of the artifact at a checked URL.
func deliveredName(text, commit string) (string, error) {
	u, err := url.Parse(ofCommit(text, commit))
	if err != nil {
		return "", unsound("%s is not understood: write https://HOST/PATH with {commit} or {short} in it", "build.artifact_url")
	}
	name, err := url.PathUnescape(u.EscapedPath()[strings.LastIndexByte(u.EscapedPath(), '/')+1:])
	if err != nil || !plainName(name) || len(name) > maxName || name[0] == '-' || strings.ContainsFunc(name, unprintable) || strings.Contains(name, `\`) {
		return "", unsound("the path of build.artifact_url must end with the name of a file, such as shop.war, not with %q", clip(name, 60))
	}
	return name, nil
}

// maxName is the longest name of a file, as the kernel has it.
const maxName = 255

func unprintable(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\uFFFD' }

// ownHeaders are set by the download itself.
func ownHeaders() []string {
	return []string{"host", "content-length", "transfer-encoding", "connection", "accept-encoding", "range"}
}

func checkHeader(name string) error {
	bad := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(`"(),/:;<=>?@[\]{}`, r) }
	if name == "" || strings.ContainsFunc(name, bad) {
		return unsound("build.headers: %q is not the name of a header", clip(name, 60))
	}
	if slices.Contains(ownHeaders(), strings.ToLower(name)) {
		return unsound("build.headers: %s is set by the download itself", name)
	}
	return nil
}

func checkCache(b deploy.Build) error {
	if len(b.Cache) > 0 && len(b.Run) == 0 {
		return unsound("build.cache goes with build.run only")
	}
	var seen []string
	for _, entry := range b.Cache {
		if err := checkCached(b, entry); err != nil {
			return err
		}
		for _, other := range seen {
			if inside(entry, other) || inside(other, entry) {
				return unsound("build.cache: %q and %q lie within each other: keep one of them", clip(other, 200), clip(entry, 200))
			}
		}
		seen = append(seen, entry)
	}
	return nil
}

func checkCached(b deploy.Build, entry string) error {
	below, home := strings.CutPrefix(entry, homePrefix)
	switch clean := path.Clean(below); {
	case below == "" || clean == "." || !filepath.IsLocal(below) || strings.HasPrefix(below, "~") ||
		slices.Contains(strings.Split(below, "/"), "..") || strings.ContainsFunc(below, unprintable):
		return unsound("build.cache: %q must be a folder below the tree, such as node_modules, or below the build's home, such as ~/.m2", clip(entry, 200))
	case home && hasHome(b.Env):
		return unsound("build.cache: %q lies below the build's home, which build.env.HOME puts elsewhere: leave one of them out", clip(entry, 200))
	case !home && b.Artifact != "" && inside(b.Artifact, below):
		return unsound("build.artifact %q lies in the cached folder %q: what an older commit left there could be shipped", clip(b.Artifact, 200), clip(entry, 200))
	}
	return nil
}

func hasHome(env map[string]string) bool {
	_, ok := env["HOME"]
	return ok
}

// inside reports whether a slash path is, or lies below, another one.
func inside(inner, outer string) bool {
	inner, outer = path.Clean(inner), path.Clean(outer)
	return inner == outer || strings.HasPrefix(inner, outer+"/")
}
