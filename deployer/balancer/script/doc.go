// Package script drives a load balancer that ipublish knows nothing about by
// three programs of the user: out and in change it for one host, status says how
// it stands.
//
// The one idea: a program that ends well proves nothing, so status must agree.
// It prints up or down as the first word of its standard output and ends with
// exit status 0; what it says is all the evidence there is.
//
// Each program is an argument list, run on one machine for one host at a time
// without a shell. In its arguments {host} is the host's name, {addr} the
// address that the balancer dials, {address} and {port} its parts, and
// {label:NAME} one of the host's labels; every other brace stays.
//
// Guarantees: out and in run only for a host of which status does not say so
// already, so that repeating a step runs nothing; they must bear being run
// again nevertheless, because a restart of the bot may find status undecided.
// A host that a step does not name is in no argument. At most eight programs run
// at once. A program that fails is not made up for: it alone knows what it left,
// and the next look at status tells.
//
// Messages name a program by its first word only: the rest may hold secrets.
package script
