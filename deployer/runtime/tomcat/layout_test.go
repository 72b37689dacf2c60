package tomcat_test

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
	"ipublish/deployer"
	"ipublish/deployer/drivertest"
	"ipublish/deployer/host/local"
)

// tarball is a Tomcat as the project's own archive unpacks it, made from the
// distribution's, after a team has worked with it: conf inside, shutdown port
// 8005, an AJP connector, the samples with their descriptors, and their own.
func tarball(t *testing.T) string {
	t.Helper()
	installed(t)
	home := filepath.Join(t.TempDir(), "apache-tomcat-10.1.x")
	for _, dir := range []string{"conf", "conf/Catalina/localhost", "webapps/ROOT", "webapps/docs", "webapps/examples", "webapps/manager", "logs", "temp", "work"} {
		folder(t, filepath.Join(home, dir))
	}
	shell(t, `cp -RL /usr/share/tomcat10/bin "$1/bin"; ln -s /usr/share/tomcat10/lib "$1/lib"; cp /etc/tomcat10/*.xml /etc/tomcat10/*.properties "$1/conf"; chmod -R go=rX "$1/conf"`, home)
	for _, sample := range []string{"ROOT", "docs", "examples", "manager"} {
		write(t, filepath.Join(home, "webapps", sample, "release.txt"), "sample")
		write(t, filepath.Join(home, "webapps", sample, "index.html"), "sample")
	}
	write(t, filepath.Join(home, "conf/server.xml"), serverOfTarball(t))
	write(t, filepath.Join(home, "conf/Catalina/localhost/manager.xml"), `<Context docBase="${catalina.home}/webapps/manager" privileged="true"/>`)
	write(t, filepath.Join(home, "conf/Catalina/localhost/ROOT.xml"),
		`<Context path="" docBase="`+home+`/webapps/ROOT" reloadable="true"><Environment name="team" value="theirs" type="java.lang.String"/>`+
			`<ResourceLink name="jdbc/shop" global="jdbc/shop" type="javax.sql.DataSource"/></Context>`)
	return home
}

// serverOfTarball is the archive's own text with what a team adds to it.
func serverOfTarball(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(install + "/etc/server.xml")
	if err != nil {
		t.Fatal(err)
	}
	server := string(text)
	for _, change := range [][2]string{
		{`<Server port="-1" shutdown="SHUTDOWN">`, `<Server port="8005" shutdown="SHUTDOWN">`},
		{"  </GlobalNamingResources>", `    <Resource name="jdbc/shop" auth="Container" type="javax.sql.DataSource" username="shop" password="d4t4b4s3"
              url="jdbc:mysql://127.0.0.1/shop?a=1&amp;b=2" driverClassName="team.Driver" />
  </GlobalNamingResources>`},
		{`<Connector port="8080" protocol="HTTP/1.1"
               connectionTimeout="20000"
               redirectPort="8443"
               maxParameterCount="1000"
               />
    <!-- A`, `<Connector port="8080" protocol="HTTP/1.1" connectionTimeout="20000" redirectPort="8443"
               URIEncoding="GBK" relaxedQueryChars="[]|{}^&#x5c;&quot;" />
    <Connector protocol="AJP/1.3" address="::1" port="8009" redirectPort="8443" secretRequired="false" />
    <!-- A`},
		{`<Valve className="org.apache.catalina.valves.AccessLogValve"`, `<Valve className="org.apache.catalina.valves.ErrorReportValve" showReport="false" showServerInfo="false" />
        <Valve className="org.apache.catalina.valves.AccessLogValve"`},
	} {
		if strings.Count(server, change[0]) != 1 {
			t.Fatalf("the distribution's server.xml has not once %q", change[0])
		}
		server = strings.Replace(server, change[0], change[1], 1)
	}
	return server
}

const jndi = `<%! Object look(String name) { try { return new javax.naming.InitialContext().lookup("java:comp/env/" + name); } catch (Exception e) { return e; } } %>`

// teamPages are what the application shows of its surroundings.
func teamPages(s deploy.Step) map[string]string {
	return map[string]string{
		"release.txt": s.Release.Commit.SHA, "WEB-INF/web.xml": webXML, "slow.jsp": slow,
		"team.jsp": jndi + `<%= look("team") %> <%= look("jdbc/shop").getClass().getSimpleName() %> ` +
			`<%= new java.util.Scanner(Thread.currentThread().getContextClassLoader().getResourceAsStream("team.properties") == null ? java.io.InputStream.nullInputStream() :
				Thread.currentThread().getContextClassLoader().getResourceAsStream("team.properties")).useDelimiter("\\A").next() %>`,
		"jndi.jsp":  jndi + `<%= look("team") %> <%= look("jdbc/shop").getClass().getSimpleName() %>`,
		"query.jsp": `<%= Integer.toHexString(request.getParameter("q").charAt(0)) %>`,
		"jvm.jsp":   `<%= System.getProperty("server.port") + " " + System.getProperty("team") + " " + System.getProperty("java.home") %>`,
	}
}

// release is a slot with an archive of pages, called as a build names it.
func release(t *testing.T, pages func(deploy.Step) map[string]string) deploy.Step {
	t.Helper()
	s := drivertest.RuntimeStep(t)
	s.Release.Kind, s.Release.Name = deploy.ArtifactFile, "shop-1.0.war"
	archived(t, filepath.Join(s.Dir, s.Release.Name), pages(s))
	return s
}

func TestATarballsLayoutServesTheReleaseAloneInBothSlots(t *testing.T) {
	home := tarball(t)
	runtime := open(t, section(t, map[string]any{"home": home, "jvm_options": small}))
	blue, green := release(t, teamPages), release(t, teamPages)
	for _, s := range []deploy.Step{blue, green} {
		start(t, runtime, s)
	}
	for _, s := range []deploy.Step{blue, green} {
		answers(t, runtime, s, "/release.txt")
		i := observe(t, runtime, s)
		if !i.Owned || i.PortPID != i.PID || i.Release != s.Release.SHA256 {
			t.Errorf("the slot shows %+v", i)
		}
		if got := ports(t, i.PID); !slices.Equal(got, []int{s.Port}) {
			t.Errorf("it listens on %v, want %d alone", got, s.Port)
		}
		if got := get(t, s, "/jndi.jsp"); got != "theirs BasicDataSource" {
			t.Errorf("the team's own resources show as %q", got)
		}
		if got := raw(t, s, "/query.jsp?q=%D6%D0&r={[|]}"); !strings.Contains(got, " 200 ") || !strings.HasSuffix(got, "\n4e2d") {
			t.Errorf("the connector's own attributes give %q", got)
		}
		for _, sample := range []string{"/docs/", "/examples/", "/manager/"} {
			if got := raw(t, s, sample); !strings.Contains(got, " 404 ") || strings.Contains(got, "Apache Tomcat") {
				t.Errorf("the sample %s answers %q", sample, got)
			}
		}
		if _, err := os.Stat(filepath.Join(s.Home, "base/logs")); err != nil || len(names(t, filepath.Join(s.Home, "base/logs"))) == 0 {
			t.Errorf("no logs of the slot's own: %v", err)
		}
	}
	if got := names(t, filepath.Join(home, "logs")); len(got) != 0 {
		t.Errorf("the installation's own logs hold %v", got)
	}
}

// ports are those that a process listens on.
func ports(t *testing.T, pid int) []int {
	t.Helper()
	links := shell(t, `ls -l "/proc/$1/fd"`, strconv.Itoa(pid))
	var all []int
	for _, table := range []string{"tcp", "tcp6"} {
		text, err := os.ReadFile("/proc/net/" + table)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			col := strings.Fields(line)
			if col[3] != "0A" || !strings.Contains(links, "socket:["+col[9]+"]") {
				continue
			}
			port, err := strconv.ParseInt(col[1][strings.LastIndexByte(col[1], ':')+1:], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, int(port))
		}
	}
	slices.Sort(all)
	return all
}

func TestATeamsOwnBaseKeepsItsJarsAndItsSetenvBesideTheSlotsOptions(t *testing.T) {
	home := tarball(t)
	team := filepath.Join(t.TempDir(), "shop base's")
	shell(t, `mkdir -p "$2/lib" "$2/bin"; cp -R "$1/conf" "$2/conf"; rm "$2/conf/context.xml"`, home, team)
	archived(t, filepath.Join(team, "lib/team.jar"), map[string]string{"team.properties": "jar"})
	write(t, filepath.Join(team, "bin/setenv.sh"), "# -Dcom.sun.management.jmxremote.port=9010\nCATALINA_OPTS=\"-Dteam=setenv -Xmx96m\"\nCATALINA_BASE=/nowhere\nexport CATALINA_PID=/nowhere/pid\n")
	runtime := open(t, section(t, map[string]any{"home": home, "conf": team + "/conf/", "base": t.TempDir() + "/shop-{port}", "jvm_options": append(slices.Clone(small),
		"-Dserver.port={port}", "-Dcom.sun.management.jmxremote.port=1{port}", "-Dcom.sun.management.jmxremote.host=127.0.0.1",
		"-Dcom.sun.management.jmxremote.ssl=false", "-Dcom.sun.management.jmxremote.authenticate=false")}))
	blue, green := release(t, teamPages), release(t, teamPages)
	blue.Port = fourDigits(t, 2000+os.Getpid()%4000)
	green.Port = fourDigits(t, blue.Port+1)
	blue.Stop = deploy.Duration(20 * time.Second)
	slots := []deploy.Step{blue, green}
	for _, s := range slots {
		start(t, runtime, s)
	}
	for _, s := range slots {
		answers(t, runtime, s, "/release.txt")
		if got := get(t, s, "/team.jsp"); got != "theirs BasicDataSource jar" {
			t.Errorf("the team's own files show as %q", got)
		}
		if got, want := get(t, s, "/jvm.jsp"), fmt.Sprintf("%d setenv ", s.Port); !strings.HasPrefix(got, want) {
			t.Errorf("the JVM's options show as %q, want %q", got, want)
		}
		if got := ports(t, observe(t, runtime, s).PID); !slices.Contains(got, 10000+s.Port) {
			t.Errorf("it listens on %v, want JMX on %d too", got, 10000+s.Port)
		}
	}
	survives(t, runtime, slots[0])
}

// survives: a request of five seconds outlives SIGTERM though the team's
// conf has no context.xml, and Tomcat's own default would cut it.
func survives(t *testing.T, runtime deployer.Runtime, s deploy.Step) {
	t.Helper()
	conn, answer := ask(t, s, "/slow.jsp")
	defer conn.Close()
	if line, err := answer.ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("the answer begins with %q, %v", line, err)
	}
	began := time.Now()
	if err := runtime.Stop(t.Context(), host(t), s); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(answer)
	if err != nil || !strings.Contains(string(rest), "done") {
		t.Errorf("the request in flight got %q, %v", rest, err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the stop took %s", took)
	}
}

// A context in server.xml is served instead of what lies in webapps.
func TestAContextOfServerXMLServesTheReleaseAndNotItsDocBase(t *testing.T) {
	home := tarball(t)
	folder(t, filepath.Join(home, "img"))
	write(t, filepath.Join(home, "img/logo.txt"), "logo")
	if err := os.Remove(filepath.Join(home, "conf/Catalina/localhost/ROOT.xml")); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(home, "conf/server.xml")
	write(t, file, strings.Replace(serverOfTarball(t), "      </Host>", `<Context path="" docBase="`+home+`/webapps/ROOT" reloadable="false">`+
		`<Environment name="team" value="theirs" type="java.lang.String"/><ResourceLink name="jdbc/shop" global="jdbc/shop" type="javax.sql.DataSource"/></Context>`+
		`<Context path="/img" docBase="`+home+`/img"/></Host>`, 1))
	runtime := open(t, section(t, map[string]any{"home": home, "jvm_options": small}))
	unpacked := drivertest.RuntimeStep(t)
	for name, text := range teamPages(unpacked) {
		folder(t, filepath.Dir(filepath.Join(unpacked.Dir, name)))
		write(t, filepath.Join(unpacked.Dir, name), text)
	}
	for _, s := range []deploy.Step{release(t, teamPages), unpacked} {
		start(t, runtime, s)
		answers(t, runtime, s, "/release.txt")
		if got := get(t, s, "/jndi.jsp"); got != "theirs BasicDataSource" {
			t.Errorf("the context's own resources show as %q", got)
		}
		if got := get(t, s, "/img/logo.txt"); got != "logo" {
			t.Errorf("the other context answers %q", got)
		}
	}
}

func TestASetenvWithAPortOfItsOwnIsRefused(t *testing.T) {
	home := tarball(t)
	s := release(t, teamPages)
	for _, text := range []string{
		"export CATALINA_OPTS=\"$CATALINA_OPTS -Dcom.sun.management.jmxremote.port=9010\"", "JPDA=-agentlib:jdwp=transport=dt_socket,server=y,address=5005",
	} {
		write(t, filepath.Join(home, "bin/setenv.sh"), text+"\n")
		err := open(t, section(t, map[string]any{"home": home})).Start(t.Context(), host(t), s)
		refused(t, err, deploy.CodeInvalid, home+"/bin/setenv.sh", "1{port}")
	}
	write(t, filepath.Join(home, "bin/setenv.sh"), "")
	write(t, filepath.Join(home, "conf/context.xml"), "<Contexts/>")
	refused(t, open(t, section(t, map[string]any{"home": home})).Start(t.Context(), host(t), s), deploy.CodeInvalid, home+"/conf/context.xml", "not a Context")
	write(t, filepath.Join(home, "conf/context.xml"), "<Context/>")
	write(t, filepath.Join(home, "conf/Catalina/localhost/ROOT.xml"), "<Context")
	refused(t, open(t, section(t, map[string]any{"home": home})).Start(t.Context(), host(t), s), deploy.CodeInvalid, home+"/conf/Catalina/localhost/ROOT.xml", "well-formed")
}

// The host of this test has no java on its PATH, and cannot make hard links.
func TestAJavaThatIsNotOnThePathServesAnArchiveThatIsCopied(t *testing.T) {
	installed(t)
	java, err := filepath.EvalSymlinks("/usr/bin/java")
	if err != nil {
		t.Fatal(err)
	}
	java = strings.TrimSuffix(java, "/bin/java")
	bin := t.TempDir()
	shell(t, `for f in /usr/sbin/* /usr/bin/*; do case ${f##*/} in java | ln) ;; *) ln -sf "$f" "$1"; esac; done
printf '#!/bin/sh\nexit 1\n' >"$1/ln"; chmod +x "$1/ln"`, bin)
	h, err := local.New(json.RawMessage(`{"become": ["env", "PATH=` + bin + `"]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := release(t, teamPages)
	refused(t, open(t, `{}`).Start(t.Context(), h, s), deploy.CodeInvalid, "java_home")
	runtime := open(t, section(t, map[string]any{"java_home": java, "jvm_options": small}))
	t.Cleanup(func() { stop(t, runtime, s) })
	if err := runtime.Start(t.Context(), h, s); err != nil {
		t.Fatal(err)
	}
	answers(t, runtime, s, "/release.txt")
	if got := get(t, s, "/jvm.jsp"); !strings.HasSuffix(got, java) {
		t.Errorf("the JVM is of %q, want %s", got, java)
	}
	if i := observe(t, runtime, s); i.Release != s.Release.SHA256 || linked(t, s) {
		t.Errorf("with a copied archive the slot shows %+v", i)
	}
}

func TestAnArchiveThatIsLinkedIsProvenByTheStagedFoldersMark(t *testing.T) {
	installed(t)
	s := release(t, teamPages)
	runtime := open(t, section(t, map[string]any{"jvm_options": small}))
	start(t, runtime, s)
	answers(t, runtime, s, "/release.txt")
	if i := observe(t, runtime, s); i.Release != s.Release.SHA256 || !linked(t, s) {
		t.Errorf("with a linked archive the slot shows %+v", i)
	}
	write(t, filepath.Join(s.Dir, ".ipublish-sha256"), strings.Repeat("0", 64))
	if i := observe(t, runtime, s); i.Release != "" || !i.Running() {
		t.Errorf("with another artifact in the release's folder the slot shows %+v", i)
	}
}

// linked: the archive below webapps is the staged one itself.
func linked(t *testing.T, s deploy.Step) bool {
	t.Helper()
	staged, err := os.Stat(filepath.Join(s.Dir, s.Release.Name))
	if err != nil {
		t.Fatal(err)
	}
	served, err := os.Stat(filepath.Join(s.Home, "base/webapps/ROOT.war"))
	if err != nil {
		t.Fatal(err)
	}
	return os.SameFile(staged, served)
}

func archived(t *testing.T, path string, files map[string]string) {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for name, text := range files {
		w, err := z.Create(name)
		if err == nil {
			_, err = io.WriteString(w, text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, path, b.String())
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func folder(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(path, 0o755); err != nil {
		t.Fatal(err)
	}
}

func shell(t *testing.T, script string, args ...string) string {
	t.Helper()
	out, err := exec.Command("sh", append([]string{"-ec", script, "sh"}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func section(t *testing.T, settings map[string]any) string {
	t.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// fourDigits is a free port, the given one or above, so that the one with a 1
// before it is free too.
func fourDigits(t *testing.T, port int) int {
	t.Helper()
	for ; port < 10000; port++ {
		if free(port) && free(10000+port) {
			return port
		}
	}
	t.Fatal("no free port of four digits")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
	if err != nil {
		return false
	}
	return l.Close() == nil
}
