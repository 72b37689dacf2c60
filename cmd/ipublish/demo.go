package main

import (
	"context"

	"ipublish/deploy"
)

type demoCommand struct {
	Once bool   `help:"End after the show; exit 0 only if all of it held."`
	Dir  string `help:"Keep the installation in this folder." type:"path"`
}

// Run shows the product.
func (d *demoCommand) Run(ctx context.Context, m *Main) error {
	return &deploy.Error{Code: deploy.CodeInternal, Message: "the demo is being written"}
}
