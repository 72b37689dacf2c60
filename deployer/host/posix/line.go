package posix

import (
	"strings"

	"ipublish/deploy"
)

// CheckArgv accepts what can be run on any host: at least one element, no NUL,
// and a program that neither a shell nor a become prefix could take for an
// option or a variable. Otherwise deploy.CodeInvalid.
func CheckArgv(argv []string) error {
	switch {
	case len(argv) == 0 || argv[0] == "":
		return invalidArgv("there is no program to run: give a non-empty argv")
	case strings.HasPrefix(argv[0], "-"):
		return invalidArgv("the program's name starts with '-': give its path")
	case strings.Contains(argv[0], "=") && !strings.HasPrefix(argv[0], "/"):
		return invalidArgv("the program's name holds '=': give its absolute path")
	}
	for _, arg := range argv {
		if strings.ContainsRune(arg, 0) {
			return invalidArgv("an argument holds a NUL byte, which no program can receive")
		}
	}
	return nil
}

// Line is the command line that makes a POSIX shell replace itself with argv,
// unchanged byte for byte. argv must have passed CheckArgv. Builtins, functions,
// aliases and reserved words of the shell are passed by.
func Line(argv []string) string {
	var b strings.Builder
	b.WriteString("exec")
	for _, arg := range argv {
		b.WriteByte(' ')
		b.WriteString(quote(arg))
	}
	return b.String()
}

// quote always quotes, so that no word is special by its own name. Within
// single quotes only the single quote itself means something to the shell.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func invalidArgv(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "run", Message: message}
}
