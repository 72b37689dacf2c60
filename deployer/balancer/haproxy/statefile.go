package haproxy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer/balancer/haproxyapi"
)

const (
	stateFileMode = 0o644
	out           = haproxyapi.ForcedDrain | haproxyapi.ForcedMaint
)

// save writes which servers are out to the state file. Others may do the same
// at the same time, and what they read may be older than ours: whoever wrote
// looks again, so that the last one to write wrote what is so.
func (c *change) save(ctx context.Context) error {
	if c.settings.StateFile == "" {
		return nil
	}
	dump, err := c.doors[0].Dump(ctx)
	if err != nil {
		return err
	}
	for {
		text := dump.With(outRows(dump)).String()
		err := c.host.Put(ctx, c.settings.StateFile, stateFileMode, strings.NewReader(text))
		c.saved = c.saved || deploy.CodeOf(err) != deploy.CodeFailed // a write that failed left the old file
		if err != nil {
			return c.unsaved(err)
		}
		now, err := c.doors[0].Dump(ctx)
		if err != nil {
			return err
		}
		if sameOut(dump, now) {
			return nil
		}
		dump = now
	}
}

func (c *change) unsaved(err error) error {
	return &deploy.Error{Code: deploy.CodeOf(err), Op: "write", Subject: c.settings.StateFile, Err: err, Message: fmt.Sprintf(
		"state_file %s cannot be written (%s), so HAProxy would forget at its next reload which hosts are out: let ipublish's user write there", c.settings.StateFile, deploy.MessageOf(err))}
}

func outRows(d haproxyapi.Dump) []haproxyapi.Row {
	return slices.DeleteFunc(d.Rows(), func(r haproxyapi.Row) bool { return !r.Admin().Has(out) })
}

// sameOut compares who is out and how; times and checks go on.
func sameOut(a, b haproxyapi.Dump) bool {
	return slices.EqualFunc(outRows(a), outRows(b), func(x, y haproxyapi.Row) bool {
		return x.Subject() == y.Subject() && x.Admin() == y.Admin()
	})
}
