package config

import (
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"

	"ipublish/deploy"
)

// share is a number of hosts as the file has it: 2 or 80%.
type share string

// UnmarshalYAML implements yaml.NodeUnmarshaler: the number may stand there with
// quotes or without.
func (s *share) UnmarshalYAML(n ast.Node) error {
	if _, ok := n.(ast.ScalarNode); !ok {
		return &yaml.SyntaxError{Message: "a number of hosts is expected, such as 2 or 80%", Token: n.GetToken()}
	}
	*s = share(n.GetToken().Value)
	return nil
}

// share reads a number of hosts, or a percentage of them.
func (b *building) share(key string, s share) deploy.Share {
	digits, percent := strings.CutSuffix(string(s), "%")
	n, err := strconv.Atoi(digits)
	switch {
	case err != nil || n < 0 || digits != strconv.Itoa(n):
		b.fail(key, "%q is no number of hosts: write a whole number such as 2, or a percentage of them such as 80%%", s)
	case percent && n > 100:
		b.fail(key, "%q is more than all of the hosts: 100%% at most", s)
	case percent:
		return deploy.Share{Percent: n}
	}
	return deploy.Share{Hosts: n}
}

// roundedUp is how many of n hosts a share is when a floor must not sink: a
// part of a host counts as one.
func roundedUp(s deploy.Share, n int) int {
	if s.Percent == 0 {
		return s.Hosts
	}
	return (n*s.Percent + 99) / 100
}
