package nginx

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

// stderrOf is what a command that failed said.
func stderrOf(err error) string {
	var exit *deployer.ExitError
	if errors.As(err, &exit) {
		return strings.TrimSpace(exit.Stderr)
	}
	return ""
}

func exitOf(err error) int {
	var exit *deployer.ExitError
	if errors.As(err, &exit) {
		return exit.Code
	}
	return 0
}

// complaint is the part of it that tells why: nginx's [emerg] lines, else all.
func complaint(err error) string {
	all := stderrOf(err)
	var why []string
	for line := range strings.Lines(all) {
		if strings.Contains(line, "[emerg]") {
			why = append(why, strings.TrimSpace(line))
		}
	}
	switch {
	case len(why) > 0:
		return strings.Join(why, "; ")
	case all != "":
		return strings.ReplaceAll(all, "\n", "; ")
	}
	return err.Error()
}

// testFailed explains a configuration that nginx refuses.
func (b *balancer) testFailed(err error) error {
	said := complaint(err)
	e := &deploy.Error{Code: deploy.CodeFailed, Err: err, Log: stderrOf(err)}
	switch {
	case exitOf(err) == 126 || exitOf(err) == 127:
		e.Message = fmt.Sprintf("%q cannot be run on nginx's host (%s); nothing was switched: give test and reload of balancer.nginx the program's full path", b.settings.Test[0], said)
	case strings.Contains(said, "duplicate upstream"):
		e.Code = deploy.CodeRefused
		e.Message = fmt.Sprintf("the upstream %s stands in two files (%s); nothing was switched: find it with `grep -rn 'upstream %s' /etc/nginx`, delete the one that is not in %s, then repeat",
			b.settings.Upstream, said, b.settings.Upstream, b.settings.Include)
	case strings.Contains(said, b.settings.Include+":"):
		e.Message = fmt.Sprintf("nginx refuses ipublish's own file (%s); nothing was switched: correct extra, server_params or generation_listen of balancer.nginx, then repeat", said)
	default:
		e.Message = fmt.Sprintf("nginx refuses its configuration (%s); nothing was switched: repair what it names, check with %s, then repeat", said, strings.Join(b.settings.Test, " "))
	}
	return e
}

// notTaken explains a reload that reported success and did nothing.
func (c *change) notTaken(last view, old processes) error {
	seen := "nobody answers as ipublish's upstream"
	if last.Generation != "" {
		seen = "the answer is still generation " + last.Generation
		if last.Generation == c.generation {
			seen = "the new generation answers"
		}
	}
	workers := "old workers still accept connections"
	if last.replaced(old) {
		workers = "the workers are new"
	}
	return &deploy.Error{Code: deploy.CodeFailed, Message: fmt.Sprintf(
		"nginx did not take the new table within %s although %q reported success: on %s %s, and %s. nginx's error log says why, most often an address that is in use already",
		c.settings.ReloadTimeout, strings.Join(c.settings.Reload, " "), c.settings.GenerationListen, seen, workers)}
}

const (
	diffLines = 6   // of each side that a message shows
	diffWidth = 120 // bytes of a line that a message shows
)

// drift explains a file that is not as ipublish left it.
func (b *balancer) drift(st stand, known string, ans answer, next []byte) error {
	e := &deploy.Error{Code: deploy.CodeDrift, Subject: b.settings.Include}
	if !st.Now.Present {
		e.Message = fmt.Sprintf("%s is gone, so nothing was written: put it back as it was, or take its absence as the known version with accept", b.settings.Include)
		return e
	}
	if known == "" {
		e.Message = fmt.Sprintf("%s exists and is not ipublish's own, so nothing was written: move it away; or, if it is right as it stands, accept it", b.settings.Include)
		return e
	}
	against, name := next, "what ipublish would write"
	for _, left := range [][]byte{st.Replaced.Content, b.rendered(ans.Table)} {
		if sum(left) == known {
			against, name = left, "what ipublish left"
		}
	}
	e.Message = fmt.Sprintf("%s was edited, so nothing was written. Compared with %s: %s. Put it back; or move the change into extra or server_params of balancer.nginx; then accept",
		b.settings.Include, name, diff(against, st.Now.Content))
	return e
}

func (b *balancer) rendered(t table) []byte {
	content, _ := render(b.settings, t)
	return content
}

// diff shows the lines that only one side has.
func diff(old, new []byte) string {
	parts := append(onlyIn("-", old, new), onlyIn("+", new, old)...)
	if len(parts) == 0 {
		return "the same lines in another order or spacing"
	}
	return strings.Join(parts, ", ")
}

func onlyIn(sign string, a, b []byte) []string {
	count := map[string]int{}
	for line := range bytes.Lines(b) {
		count[string(bytes.TrimSpace(line))]++
	}
	var out []string
	more := 0
	for line := range bytes.Lines(a) {
		text := string(bytes.TrimSpace(line))
		count[text]--
		switch {
		case count[text] >= 0:
		case len(out) < diffLines:
			out = append(out, fmt.Sprintf("%s %q", sign, text[:min(len(text), diffWidth)]))
		default:
			more++
		}
	}
	if more > 0 {
		out = append(out, fmt.Sprintf("%s %d more", sign, more))
	}
	return out
}
