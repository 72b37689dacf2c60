// Package supervise keeps one worker process behind listeners that outlive it.
//
// The one idea: the supervisor owns the sockets and nothing else. It opens no
// state, so that it need not change when the worker does; while no worker
// runs, the kernel queues new connections.
//
// Guarantees: at most one worker at a time; a worker that dies is started
// again with a growing pause, unless it refused (ExitRefused); SIGTERM and SIGINT end the worker first and wait
// for it; SIGHUP is passed on.
package supervise
