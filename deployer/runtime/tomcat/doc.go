// Package tomcat is the runtime that runs a web application in a Tomcat of its
// own, made from an installed one.
//
// The one idea: a slot is one CATALINA_BASE that is written anew before every
// start. The installation's conf is copied, in it only what two instances on one
// machine cannot share changes, and webapps holds nothing but the release.
//
// The section, with defaults:
//
//	home: /usr/share/tomcat10   the installation (CATALINA_HOME): the distribution's, or an unpacked archive
//	base: "{home}/base"         CATALINA_BASE, different for each slot; ipublish owns it
//	context: ROOT               the name under webapps: ROOT is /, shop is /shop
//	java_home:                  default: JAVA_HOME of the app's env, else java on the host's PATH
//	jvm_options: []             words for the JVM, in CATALINA_OPTS
//	conf:                       default: HOME/conf, /etc/NAME-OF-HOME where it can be read (Debian: what the team edits), or HOME/etc (as packaged)
//	shutdown_port: -1
//	sessions: lost              or external: the application keeps them outside of Tomcat; see Caveats
//	run_as:                     the user that Tomcat runs as; default: that of the host's commands
//	supervisor: auto            or systemd, or session: who starts it again; see package process
//
// In base, java_home, conf and jvm_options {port}, {slot}, {release}, {short},
// {dir} and {home} (the slot's folder) are replaced.
//
// Guarantees:
//
//   - server.xml keeps every byte but these: the shutdown port, the HTTP
//     connector's port, AJP connectors (dropped), a Host's autoDeploy (false) and
//     deployOnStartup (true). Two HTTP connectors, or a port that both slots
//     would share, are refused, and so is an Engine whose defaultHost serves
//     anything else than webapps: it would answer for the release.
//   - What would serve something else at the release's own path loses its
//     docBase to the release: a Context of server.xml, and the context's file
//     conf/ENGINE/HOST/NAME.xml. Their resources and valves stay. Descriptors of
//     other applications are not copied, other Contexts of server.xml stay.
//   - context.xml gets unloadDelay, three quarters of the step's stop time (at
//     least five seconds less than it, and never under two), unless it has one: so
//     SIGTERM lets requests in flight finish, where Tomcat alone gives them two
//     seconds, and the application's own end comes before SIGKILL. Where the file
//     is absent, it is made of that alone.
//   - Where conf is that of a CATALINA_BASE (DIR/conf), the jars in DIR/lib are
//     copied too. The setenv.sh of DIR/bin, or else of HOME/bin, is read as ever;
//     CATALINA_BASE, jvm_options and a java_home of the section hold after it.
//   - webapps, work and temp are emptied before each start: a half-unpacked
//     archive or a class of another release never serves, and sessions in memory
//     are lost. logs stays.
//   - A folder that ipublish did not make is never emptied.
//   - With run_as, Tomcat writes to webapps, work, temp, logs and its copy of
//     conf, and to nothing else of the slot or the release. What conf, lib and
//     setenv.sh hold is read with that user's rights, so that no link there shows
//     it a file of root's.
//   - The recorded process is the JVM itself: catalina.sh becomes it by exec.
//     Stop is SIGTERM; the shutdown port is not used.
package tomcat
