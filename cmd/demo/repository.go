package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	git "github.com/go-git/go-git/v5"
	gitconfig "github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/object"

	"ipublish/deployer/source/gitserve"
)

// repository is the sample app's working copy. Its origin is the bare
// repository: behind the git server while that runs, by its path before and after.
type repository struct {
	f    folder
	repo *git.Repository
}

// newRepository makes the bare repository and a working copy without a commit.
func newRepository(f folder) (*repository, error) {
	if err := gitserve.Init(f.bare()); err != nil {
		return nil, err
	}
	repo, err := git.PlainInitWithOptions(f.work(), &git.PlainInitOptions{InitOptions: git.InitOptions{DefaultBranch: plumbing.Main}})
	if err != nil {
		return nil, err
	}
	r := &repository{f: f, repo: repo}
	for _, name := range []string{"go.mod", "main.go"} {
		if err := r.write(name, name); err != nil {
			return nil, err
		}
	}
	return r, r.setOrigin("http://" + f.Git + "/shop.git")
}

// setOrigin says where push and fetch go, for the git program as well.
func (r *repository) setOrigin(url string) error {
	c, err := r.repo.Config()
	if err != nil {
		return err
	}
	c.Remotes["origin"] = &gitconfig.RemoteConfig{Name: "origin", URLs: []string{url}, Fetch: []gitconfig.RefSpec{"+refs/heads/*:refs/remotes/origin/*"}}
	c.Branches["main"] = &gitconfig.Branch{Name: "main", Remote: "origin", Merge: plumbing.Main}
	return r.repo.SetConfig(c)
}

// write puts a file of the sample into the working copy.
func (r *repository) write(name, from string) error {
	text, err := sample.ReadFile("sample/" + from + ".txt")
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.f.work(), name), text, 0o644)
}

// commit makes the sample's next version a commit of main and returns its hash.
func (r *repository) commit(version int, message string) (string, error) {
	if err := r.write("version.go", fmt.Sprintf("version%d.go", version)); err != nil {
		return "", err
	}
	tree, err := r.repo.Worktree()
	if err != nil {
		return "", err
	}
	if err := tree.AddGlob("."); err != nil {
		return "", err
	}
	by := &object.Signature{Name: "Ada", Email: "ada@shop.example", When: time.Now()}
	hash, err := tree.Commit(message, &git.CommitOptions{Author: by, Committer: by})
	return hash.String(), err
}

// push pushes main to the git server. It blocks until the server has answered.
func (r *repository) push(ctx context.Context) error {
	err := r.repo.PushContext(ctx, &git.PushOptions{RemoteName: "origin", RefSpecs: []gitconfig.RefSpec{"refs/heads/main:refs/heads/main"}})
	if errors.Is(err, git.NoErrAlreadyUpToDate) {
		return nil
	}
	return err
}
