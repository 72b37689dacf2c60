// Package script is the runtime that runs the user's own start and stop programs,
// for a team whose application is started by them today.
//
// The one idea: the pid file is the user's word, and the kernel's is asked for
// proof. The process that the pid file names is the application, whoever started
// it, once it is recorded here, owns the port, or is at least as old as the file:
// a pid that was given to a stranger later never passes for it.
//
// The section:
//
//	start: [/opt/app/bin/startup.sh]     it has to write the application's pid into pid_file
//	stop: [/opt/app/bin/shutdown.sh]     default: SIGTERM to the application's process
//	pid_file: /opt/app/tomcat.pid
//	log: /opt/app/logs/catalina.out      shown when something is wrong; default: what start and stop print
//	install:                             where the release goes before each start
//	  - to: /opt/app/webapps/ROOT.war    a file's whole path, or of a folder for a tree
//	    from: target/shop.war            within a tree; default: all of it
//	    clear: [/opt/app/webapps/ROOT]   removed afterwards
//	dir: /opt/app                        working folder; default: that of the program, / for a name on the PATH
//	run_as: tomcat                       the user that start and stop run as; see package command
//
// {port}, {slot}, {release}, {short}, {dir} and {home} are replaced in all but
// run_as. In a blue/green environment pid_file, to and clear need one of {port},
// {slot} and {home}. The programs get the app's env with PORT, RELEASE and SLOT,
// nothing of a login, and nothing on standard input. What they print goes to the
// slot's log.
//
// They must not touch traffic: ipublish does that, and a program that does it too
// puts an unchecked application into it. Advise reads them and tells.
//
// Guarantees:
//
//   - Start, Stop and Observe may be killed at any instant and repeated: a start
//     or stop program that still runs is waited for and not run again.
//   - Start returns when pid_file names a process that began after the start
//     program, and either that has ended or the process serves. A program that
//     stays in the foreground is left alone after ten seconds: it is well if
//     pid_file was written, else an error. Exit codes prove nothing.
//   - What is installed is copied, fsynced and renamed. What somebody else had put
//     there is kept once, a file as TO.before-ipublish, a folder as
//     TO.before-ipublish.tar, since a second folder beside it could be served.
//     clear removes links and never what they point to, and nothing that holds
//     what was installed.
//   - A port that is served while no process is named by the pid file, or by
//     another process, is deploy.CodeForeign with the pid, and never a success of
//     Start or Stop. Nothing is done to that process.
//   - Only the application's process gets signals, and one of its tree that holds
//     the port after it; besides them the start and stop programs that are still
//     under way. No SIGKILL is sent before the stop time has passed. A stop
//     program of the user that kills is not held back from it: Advise tells.
//   - A stop program has the stop time to work. If it fails, or the time is over,
//     SIGTERM goes to the process, and SIGKILL two seconds after the time.
//   - Stopped means that the process is gone and the port is closed.
//
// A host needs what package process needs, and date, readlink, rm, cp, stat and
// sync; tar to keep a folder.
package script
