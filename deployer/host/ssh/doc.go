// Package ssh is a host reached over SSH.
//
// The one idea: one connection a host, dialled when it is first needed, shared
// by all calls as channels, given up as soon as it is doubted, and never waited
// for longer than a caller's context lives.
//
// The settings of a host are a JSON object; unknown keys are refused:
//
//	address          user@host:port; user and port may be absent
//	url              or ssh://user@host:port
//	identity         private key, PEM, without passphrase
//	identity_file    or the path of one
//	known_hosts      path; default: UserKnownHostsFile, ~/.ssh/known_hosts, and /etc/ssh/ssh_known_hosts
//	ssh_config       path, or none; default ~/.ssh/config
//	become           argv prefix of every command and of what writes files
//	proxy_jump       user@host:port,… in the order of the way; none: go directly
//	connect_timeout  bounds the whole way to an open connection; default 10s
//
// Guarantees:
//   - A host's key must be in known_hosts. An unknown, changed or revoked key is
//     deploy.CodeRefused with what to check and what to run; nothing is ever
//     trusted on first use.
//   - A key of the settings is the only one that is offered, to the host and to
//     its jump hosts; without one, those of ~/.ssh/config and the agent are, as
//     ssh would. Secrets are in no argv.
//   - A peer that accepts and then says nothing ends the attempt at
//     connect_timeout; one that falls silent later is given up by keepalives. A
//     connection that broke is deploy.CodeUnavailable for the calls on it; the
//     next call dials anew.
//   - No terminal is requested, and no text of an argument, a path or a file
//     reaches the remote shell unquoted. The remote user's login shell must be a
//     POSIX one.
//   - When a call's context ends, its remote process group is signalled and its
//     channel closed. sshd refuses the signal for root logins and the kernel
//     for processes of another user (become): such a command can outlive the call.
//   - Of ~/.ssh/config, HostName, User, Port, IdentityFile, IdentitiesOnly,
//     ProxyJump and UserKnownHostsFile are honoured; Match blocks other than
//     "all" and "host" are refused by name.
package ssh
