package script

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"

	"ipublish/deploy"
	"ipublish/deployer"
)

var labelForm = regexp.MustCompile(`\{label:([^{}]+)\}`)

// arguments replaces the placeholders of a program for a host, each once: what a
// value holds is never replaced again. deploy.CodeInvalid where a label that it
// asks for is missing.
func arguments(argv []string, e deploy.Endpoint) ([]string, error) {
	address, port, err := net.SplitHostPort(e.Addr)
	if err != nil {
		return nil, invalid("the address %q of %s is not host:port", e.Addr, e.Host)
	}
	pairs := []string{"{host}", string(e.Host), "{addr}", e.Addr, "{address}", address, "{port}", port}
	for _, word := range argv {
		for _, m := range labelForm.FindAllStringSubmatch(word, -1) {
			value, ok := e.Labels[m[1]]
			if !ok {
				return nil, invalid("%s has no label %s: add labels: { %s: … } to it under hosts, or take {label:%s} out of balancer.script", e.Host, m[1], m[1], m[1])
			}
			pairs = append(pairs, m[0], value)
		}
	}
	replacer := strings.NewReplacer(pairs...)
	out := make([]string, len(argv))
	for i, word := range argv {
		out[i] = replacer.Replace(word)
	}
	return out, nil
}

// run runs one program for one host, within the key timeout, and returns its output.
func (b *balancer) run(ctx context.Context, argv []string, e deploy.Endpoint) ([]byte, error) {
	words, err := arguments(argv, e)
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, b.settings.Timeout.D())
	defer cancel()
	out, err := b.machine.Run(limited, words, nil)
	switch {
	case err == nil:
		return out, nil
	case limited.Err() != nil && ctx.Err() == nil:
		return nil, &deploy.Error{Code: deploy.CodeTimeout, Op: "run", Subject: string(e.Host), Err: err,
			Message: fmt.Sprintf("%s did not end within %s for %s: see timeout of balancer.script", argv[0], b.settings.Timeout, e.Host)}
	}
	return nil, failure(argv[0], e, err)
}

// failure is the error of a program that did not end well.
func failure(program string, e deploy.Endpoint, err error) error {
	var exit *deployer.ExitError
	if !errors.As(err, &exit) {
		return err
	}
	return &deploy.Error{Code: deploy.CodeFailed, Op: "run", Subject: string(e.Host), Log: exit.Stderr, Err: err,
		Message: fmt.Sprintf("%s of balancer.script failed for %s: %s", program, e.Host, exit)}
}

// state is what status says of a host.
type state string

const (
	up      state = "up"
	down    state = "down"
	unclear state = ""
)

// asked reads the output of status; word is what stood in the place of up or down.
func asked(out []byte) (s state, word string) {
	fields := strings.Fields(string(out))
	if len(fields) == 0 {
		return unclear, ""
	}
	switch s := state(fields[0]); s {
	case up, down:
		return s, fields[0]
	}
	return unclear, fields[0][:min(len(fields[0]), wordLimit)]
}

// wordLimit is how much of an odd word is repeated.
const wordLimit = 60
