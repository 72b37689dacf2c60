// Package command is the runtime that runs an argv in a release's folder.
//
// The one idea: the program is started as it is, without a shell, and known by
// its pid and start time; package process does that.
//
// The section: {"run": ["./server", "--port", "{port}"]}. {port}, {slot},
// {release}, {short}, {dir} and {home} are replaced in each word. The program
// gets the app's env with PORT, RELEASE and SLOT, its folder as working
// directory, and SIGTERM to stop. It has to stay in the foreground: a program
// that puts itself into the background counts as dead.
package command
