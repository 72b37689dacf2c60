package main

import (
	"context"
	"os"
	"slices"

	"ipublish/cmd/config"
	"ipublish/deploy"
	"ipublish/deployer/source"
)

// repositories asks each repository for its branches, with its credentials; no
// commit is fetched.
func (k *checking) repositories(ctx context.Context) {
	dir, err := os.MkdirTemp("", "ipublish-check-")
	if err != nil {
		k.fact("a temporary folder", err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }() // nothing depends on it
	workshop, err := source.Open(dir, source.Options{Resolve: config.Expand})
	if err != nil {
		k.fact("a temporary folder", err)
		return
	}
	for _, a := range k.cfg.Apps {
		var asked []string
		for _, e := range a.Environments {
			if e.Branch != "" && !slices.Contains(asked, e.Branch) {
				asked = append(asked, e.Branch)
				k.fact("repository of "+a.Name+" has the branch "+e.Branch, tip(ctx, workshop, deploy.SettingsOf(a, e), e.Branch))
			}
		}
	}
}

func tip(ctx context.Context, w *source.Workshop, p deploy.Settings, branch string) error {
	ctx, cancel := context.WithTimeout(ctx, checkPatience)
	defer cancel()
	_, err := w.Resolve(ctx, p, branch)
	return err
}
