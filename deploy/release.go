package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// Commit is one commit of an app's repository. Title and Author are hostile
// text: they are escaped wherever they are shown.
type Commit struct {
	SHA    string `json:"sha"` // full, lower-case hex
	Title  string `json:"title,omitempty"`
	Author string `json:"author,omitempty"`
	Ref    string `json:"ref,omitempty"` // the branch or tag it was resolved from
}

// Short returns the first seven digits of the commit.
func (c Commit) Short() string { return Short(c.SHA) }

// Short returns the first seven characters of a commit's hash.
func Short(sha string) string {
	if len(sha) > 7 {
		return sha[:7]
	}
	return sha
}

// Release is the immutable artifact of one commit: commit, build recipe and
// rendered runtime section. A changed JVM option is a new release that reuses
// the artifact.
type Release struct {
	App     string `json:"app"`
	Commit  Commit `json:"commit"`
	Recipe  string `json:"recipe"`           // hash of the build section
	Runtime string `json:"runtime"`          // hash of the runtime section and the app's env
	SHA256  string `json:"sha256,omitempty"` // of the artifact; empty until it is built
	Kind    string `json:"kind,omitempty"`   // ArtifactFile or ArtifactTree
	Name    string `json:"name,omitempty"`   // base name of a file artifact, e.g. "shop.war"
	Size    int64  `json:"size,omitempty"`   // bytes
}

// The two forms of an artifact: one file as it is, or a tar of a tree.
const (
	ArtifactFile = "file"
	ArtifactTree = "tree"
)

// Key names the release on disk and in the folds. It is made of hex digits and
// one dash only, so that it is safe as a path.
func (r Release) Key() string {
	if r.Commit.SHA == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(r.Commit.SHA + "\n" + r.Recipe + "\n" + r.Runtime))
	c := r.Commit.SHA
	if len(c) > 12 {
		c = c[:12]
	}
	return c + "-" + hex.EncodeToString(sum[:4])
}

// adopted stands for the commit of a release that ipublish did not build.
const adopted = "adopted"

// AdoptedRelease names what ran before ipublish came: nobody knows its commit,
// and it cannot be staged or started again.
func AdoptedRelease(app string) Release {
	return Release{App: app, Commit: Commit{SHA: adopted, Title: "what ran before ipublish"}}
}

// Adopted reports whether ipublish found the release running.
func (r Release) Adopted() bool { return r.Commit.SHA == adopted }

// IsZero reports whether there is no release.
func (r Release) IsZero() bool { return r.Commit.SHA == "" }

// NewRelease names the release of a commit of the app before it is built.
func NewRelease(app App, c Commit) Release {
	return Release{
		App:    app.Name,
		Commit: c,
		Recipe: digest(app.Build),
		Runtime: digest(struct {
			R Section
			E map[string]string
		}{app.Runtime, app.Env}),
	}
}

func digest(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		// Only plain data reaches this; a failure is a defect in the types above.
		panic(err)
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}
