// Package tomcat is the runtime that runs a web application in a Tomcat of its
// own, made from an installed one.
//
// The one idea: a slot is one CATALINA_BASE that is written anew before every
// start. The installation's conf is copied, in server.xml only what two
// instances on one machine cannot share changes, and webapps holds nothing but
// the release.
//
// The section, with defaults:
//
//	home: /usr/share/tomcat10   the installation (CATALINA_HOME)
//	base: "{home}/base"         CATALINA_BASE, different for each slot; ipublish owns it
//	context: ROOT               the name under webapps: ROOT is /, shop is /shop
//	java_home:                  default: JAVA_HOME of the app's env, else java on the host's PATH
//	jvm_options: []             words for the JVM, in CATALINA_OPTS
//	conf:                       default: HOME/conf, HOME/etc, or /etc/NAME-OF-HOME, as Debian has it
//	shutdown_port: -1
//
// In base, java_home, conf and jvm_options {port}, {slot}, {release}, {short},
// {dir} and {home} (the slot's folder) are replaced.
//
// Guarantees:
//
//   - server.xml keeps every byte but these: the shutdown port, the HTTP
//     connector's port, AJP connectors (dropped), a Host's autoDeploy (false) and
//     deployOnStartup (true). Two HTTP connectors, or a port that both slots
//     would share, are refused.
//   - webapps, work and temp are emptied before each start: a half-unpacked
//     archive or a class of another release never serves, and sessions are lost.
//     Context descriptors of other applications are not copied.
//   - A folder that ipublish did not make is never emptied.
//   - The recorded process is the JVM itself: catalina.sh becomes it by exec.
//     Stop is SIGTERM; the shutdown port is not used.
//
// After SIGTERM Tomcat itself gives requests in flight two seconds, whatever the
// step's limit is. An application with slower ones says so in its own
// conf/context.xml, <Context unloadDelay="30000">: Tomcat then ends as soon as
// the last of them did.
package tomcat
