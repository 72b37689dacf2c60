// Package command is the runtime that runs an argv in a release's folder.
//
// The one idea: the program is started as it is, without a shell, and known by
// its pid and start time; package process does that.
//
// The section: {"run": ["./server", "--port", "{port}"], "run_as": "shop",
// "supervisor": "auto"}.
// {port}, {slot}, {release}, {short}, {dir} and {home} are replaced in each word
// of run. The program gets the app's env with PORT, RELEASE and SLOT, its folder
// as working directory, and SIGTERM to stop. It has to stay in the foreground: a
// program that puts itself into the background counts as dead.
//
// run_as is the user that the program runs as, with that user's groups and home;
// without it, the one of the host's commands. It takes a host whose commands run
// as root. The release and the slot's folder are the program's to read and not to
// change: it keeps its data elsewhere.
//
// supervisor says who starts the program again when it failed or the host was
// rebooted: systemd (a unit of the host's systemd), session (nobody on the host),
// or auto, which is systemd wherever that is possible. See package process.
package command
