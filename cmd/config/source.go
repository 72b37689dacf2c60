package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"ipublish/deploy"
)

// source is a file's text and where its keys stand in it.
type source struct {
	path  string
	text  string // with references in braces quoted
	moved shifts
}

func read(path string) (source, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return source{}, &deploy.Error{Code: deploy.CodeNotFound, Op: "read", Message: path + " does not exist: copy packaging/ipublish.yaml and adapt it, or name another file with --config"}
	}
	if err != nil {
		return source{}, invalid(path, "it cannot be read: "+err.Error())
	}
	s := source{path: path}
	s.text, s.moved = quoteReferences(string(b))
	return s, nil
}

const empty = "the file is empty: it needs at least apps:"

// decode reads the text into v, which knows every key that there may be;
// errors carry the line and the nearest known key.
func (s source) decode(v any, options ...yaml.DecodeOption) error {
	if strings.TrimSpace(s.text) == "" {
		return invalid(s.path, empty)
	}
	dec := yaml.NewDecoder(strings.NewReader(s.text), options...)
	err := dec.Decode(v)
	if errors.Is(err, io.EOF) {
		return invalid(s.path, empty)
	}
	if err == nil {
		if err = dec.Decode(new(any)); errors.Is(err, io.EOF) {
			return nil
		}
		return invalid(s.path, "it holds more than one document: take out the lines with ---")
	}
	var ye yaml.Error
	if !errors.As(err, &ye) || ye.GetToken() == nil {
		return invalid(s.path, err.Error())
	}
	return invalid(s.place(ye.GetToken().Position), explain(err, ye))
}

func (s source) place(p *token.Position) string {
	return fmt.Sprintf("%s:%d:%d", s.path, p.Line, s.moved.column(p.Line, p.Column))
}

// where is the place of a key, "apps.shop.repository", or of the nearest one
// above it that the file has; else the file.
func (s source) where(key string) string {
	f, err := parser.ParseBytes([]byte(s.text), 0)
	if err != nil || len(f.Docs) == 0 {
		return s.path
	}
	place := s.path
	node := f.Docs[0].Body
	for key != "" {
		m, ok := node.(ast.MapNode)
		if !ok {
			return place
		}
		node = nil
		for it := m.MapRange(); it.Next(); {
			name := it.Key().GetToken().Value
			rest, found := strings.CutPrefix(key, name)
			if found && (rest == "" || rest[0] == '.') {
				place, node, key = s.place(it.Key().GetToken().Position), it.Value(), strings.TrimPrefix(rest, ".")
				break
			}
		}
	}
	return place
}

func invalid(where, message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "read", Message: where + ": " + message}
}

// explain says what to write instead, without the words of the decoder.
func explain(err error, ye yaml.Error) string {
	value := clip(ye.GetToken().Value)
	var unknown *yaml.UnknownFieldError
	var kind *yaml.TypeError
	var node *yaml.UnexpectedNodeTypeError
	var big *yaml.OverflowError
	switch {
	case errors.As(err, &unknown):
		return unknownKey(ye.GetToken().Value)
	case errors.As(err, &kind):
		return expected(kind.DstType) + " is expected, not " + value
	case errors.As(err, &big):
		return expected(big.DstType) + " is expected, and " + value + " is out of its range"
	case errors.As(err, &node) && node.Expected == ast.MappingType:
		return "a mapping (keys, each with its value) is expected, not " + value
	case errors.As(err, &node) && node.Expected == ast.SequenceType:
		return "a list, such as [a, b], is expected, not " + value
	}
	return ye.GetMessage()
}

func expected(t reflect.Type) string {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if t == nil {
		return "another value"
	}
	switch t.Kind() {
	case reflect.Int, reflect.Int64, reflect.Uint64, reflect.Uint:
		return "a whole number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "a text"
	case reflect.Slice:
		return "a list, such as [a, b],"
	case reflect.Map, reflect.Struct:
		return "a mapping (keys, each with its value)"
	}
	return "another value"
}

func clip(value string) string {
	switch {
	case value == "[" || value == "-":
		return "a list"
	case value == "{" || value == ":":
		return "a mapping"
	}
	if r := []rune(value); len(r) > 60 {
		value = string(r[:60]) + "…"
	}
	return fmt.Sprintf("%q", value)
}

// duration is a deploy.Duration whose fault names its place.
type duration deploy.Duration

// UnmarshalYAML implements yaml.NodeUnmarshaler.
func (d *duration) UnmarshalYAML(n ast.Node) error {
	if err := (*deploy.Duration)(d).UnmarshalText([]byte(n.GetToken().Value)); err != nil {
		return &yaml.SyntaxError{Message: err.Error(), Token: n.GetToken()}
	}
	return nil
}
