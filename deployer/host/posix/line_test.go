package posix

import (
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"ipublish/deploy"
)

func TestAShellHandsOnExactlyTheArgumentsOfALine(t *testing.T) {
	argument := rapid.OneOf(
		rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string { return string(b) }),
		rapid.StringOf(rapid.RuneFrom([]rune(`'"\$!`+"`\n\t *?[]{}()<>|&;#~=%-a"))),
		rapid.String(),
	).Filter(func(s string) bool { return !strings.ContainsRune(s, 0) })
	rapid.Check(t, func(t *rapid.T) {
		arguments := rapid.SliceOfN(argument, 1, 8).Draw(t, "arguments")
		argv := append([]string{"/usr/bin/env", "printf", `%s\0`}, arguments...)
		if err := CheckArgv(argv); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command("/bin/sh", "-c", Line(argv)).Output()
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.Join(arguments, "\x00") + "\x00"; string(out) != want {
			t.Fatalf("the child saw %q, want %q", out, want)
		}
	})
}

func TestALinePassesByBuiltinsAndReservedWords(t *testing.T) {
	for _, word := range []string{"if", "!", "{", "cd", "exit", "a program that is not there"} {
		err := exec.Command("/bin/sh", "-c", Line([]string{word, "0"})).Run()
		if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != 127 {
			t.Errorf("%s: %v, want the program to be looked for", word, err)
		}
	}
}

func TestAnArgvThatWouldBeTakenForSomethingElseIsInvalid(t *testing.T) {
	for _, argv := range [][]string{nil, {""}, {"-x"}, {"A=b", "id"}, {"a", "b\x00"}, {"a\x00"}} {
		if code := deploy.CodeOf(CheckArgv(argv)); code != deploy.CodeInvalid {
			t.Errorf("%q: code %q", argv, code)
		}
	}
	for _, argv := range [][]string{{"id"}, {"/opt/a=b/run", "-x", "A=b", ""}, {"./run"}} {
		if err := CheckArgv(argv); err != nil {
			t.Errorf("%q: %v", argv, err)
		}
	}
}
