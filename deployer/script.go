package deployer

// scriptName is $0 of a Script, by which the guard knows it.
const scriptName = "ipublish"

// Script is the argv that runs a fixed text of POSIX sh with arguments, $1 and so
// on. Its own pid and parent mean nothing to it: it may be a child of the shell that
// they belong to.
func Script(text string, args ...string) []string {
	return append([]string{"sh", "-c", text, scriptName}, args...)
}

// script is Script.
func script(text string, args ...string) []string { return Script(text, args...) }
