package tomcat

import (
	"bytes"
	"os"
	"strings"
	"testing"
)

func TestOnlyThePortAndAutoDeployOfDebiansFileChange(t *testing.T) {
	got := edited(t, file(t, "testdata/debian.xml"))
	want := file(t, "testdata/debian.xml")
	want = replaced(t, want, "    -->\n    <Connector port=\"8080\" protocol=\"HTTP/1.1\"\n", "    -->\n    <Connector port=\"18081\" protocol=\"HTTP/1.1\"\n")
	want = replaced(t, want, `unpackWARs="true" autoDeploy="true"`, `unpackWARs="true" autoDeploy="false"`)
	if got != want {
		t.Errorf("the file became\n%s", got)
	}
	if again := edited(t, got); again != got {
		t.Error("a second time changes it again")
	}
}

func TestATarballsFileKeepsItsQuotesItsCommentsAndItsOrder(t *testing.T) {
	src := strings.Replace(file(t, "testdata/tarball.xml"), "on\" />", "on\" /> \xe9\xff", 1)
	want := replaced(t, src, "port = '8005'>", "port = '-1'>")
	want = replaced(t, want, "port='8080' maxThreads", "port='18081' maxThreads")
	want = replaced(t, want, `<Connector port="8009" protocol='AJP/1.3' redirectPort="8443"><!-- secret --></Connector>`, "")
	want = replaced(t, want, `<Connector port="8010" protocol="org.apache.coyote.ajp.AjpNioProtocol"/>`, "")
	want = replaced(t, want, `<Host name="localhost" deployOnStartup='false'`, `<Host autoDeploy="false" name="localhost" deployOnStartup='true'`)
	want = replaced(t, want, `appBase="/srv/other" autoDeploy="true"`, `appBase="/srv/other" autoDeploy="false"`)
	if got := edited(t, src); got != want {
		t.Errorf("the file became\n%s", got)
	}
}

func TestWhatIsMissingIsAddedAndBytesBeforeAndAfterStay(t *testing.T) {
	src := "\ufeff<?xml version=\"1.0\" encoding=\"GBK\"?>\r\n<!DOCTYPE Server [<!ENTITY x 'y'>]><Server><Service><Connector/><Engine><Host name='localhost'/></Engine></Service></Server>\r\n<!-- end -->"
	want := "\ufeff<?xml version=\"1.0\" encoding=\"GBK\"?>\r\n<!DOCTYPE Server [<!ENTITY x 'y'>]><Server port=\"-1\"><Service><Connector port=\"18081\"/>" +
		"<Engine><Host autoDeploy=\"false\" name='localhost'/></Engine></Service></Server>\r\n<!-- end -->"
	if got := edited(t, src); got != want {
		t.Errorf("the file became\n%q, want\n%q", got, want)
	}
}

func TestAContextAtTheReleasesPathServesTheReleaseAndOthersStay(t *testing.T) {
	const src = `<Server port="-1"><Service><Connector port="18081"/><Engine>` +
		`<Host name="localhost" autoDeploy="false"><Context path="/shop" docBase="/opt/old"/><Context path="" docBase="/opt/root"/><Context path="/img"/></Host>` +
		`<Host appBase="/srv/other" autoDeploy="false"><Context path="/shop" docBase="/opt/other"/></Host></Engine></Service></Server>`
	for context, change := range map[string][2]string{
		"shop": {`path="/shop" docBase="/opt/old"`, `path="/shop" docBase="x.war"`},
		"ROOT": {`docBase="/opt/root"`, `docBase="x.war"`},
		"img":  {`<Context path="/img"/>`, `<Context docBase="x.war" path="/img"/>`},
		"a#b":  {`path=""`, `path=""`},
	} {
		got, err := serverXML([]byte(src), 18081, settings{Context: context}.path(), "x.war")
		if want := replaced(t, src, change[0], change[1]); err != nil || string(got) != want {
			t.Errorf("for %s the file became %v\n%s, want\n%s", context, err, got, want)
		}
	}
	for name, want := range map[string]string{"ROOT": "", "ROOT##2": "", "shop": "/shop", "a#b##3": "/a/b"} {
		if got := (settings{Context: name}).path(); got != want {
			t.Errorf("the path of %s is %q, want %q", name, got, want)
		}
	}
}

func TestAFileThatCannotServeTwoSlotsIsRefused(t *testing.T) {
	const host = `<Engine><Host name="localhost"/></Engine>`
	for src, want := range map[string]string{
		`<Server><Service><Connector port="80"/><Connector port="443" SSLEnabled="true"/>` + host + `</Service></Server>`: "2 HTTP connectors (ports 80, 443)",
		`<Server><Service><Connector port="8009" protocol="AJP/1.3"/>` + host + `</Service></Server>`:                     "no HTTP connector",
		`<Server><!-- <Connector port="80"/> --></Server>`:                                                                "no HTTP connector",
		`<Server><Service><Connector/><Engine><Host name="localhost" appBase="/srv"/></Engine></Service></Server>`:        "set its appBase to webapps",
		`<Server><Service><Connector/></Service></Server>`:                                                                "no Engine",
		`<Server><Listener rmiRegistryPortPlatform="10001"/><Service><Connector/>` + host + `</Service></Server>`:         `rmiRegistryPortPlatform="10001"`,
		`<Server><Service></Server>`: "not well-formed",
		`<Server port=8005/>`:        "not well-formed",
		``:                           "no HTTP connector",
	} {
		_, err := serverXML([]byte(src), 18081, "", "ROOT.war")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", src, err, want)
		}
	}
}

// What the Engine's defaultHost serves is what the load balancer gets.
func TestTheHostThatAnswersHasToServeWhatIsPutIntoWebapps(t *testing.T) {
	const stock = `<Host name="localhost" appBase="webapps"/>`
	for _, engine := range []string{
		`<Engine>` + stock + `<Host name="shop" appBase="/team/old" xmlBase="/x"/></Engine>`,
		`<Engine defaultHost="Shop">` + stock + `<Host name="sHop" appBase="./webapps/"/></Engine>`,
		`<Engine defaultHost="shop"><Host name="shop" deployIgnore="docs|ROOT"/></Engine>`,
		`<Engine>` + stock + `</Engine></Service><Service><Connector protocol="AJP/1.3"/><Engine><Host name="localhost" appBase="/team/old"/></Engine>`,
	} {
		if _, err := serverXML([]byte(`<Server><Service><Connector/>`+engine+`</Service></Server>`), 18081, "", "ROOT.war"); err != nil {
			t.Errorf("%s: %v", engine, err)
		}
	}
	for engine, want := range map[string]string{
		`<Engine defaultHost="shop">` + stock + `<Host name="shop" appBase="/team/old"/></Engine>`:                  `the Host "shop", the defaultHost of its Engine, has appBase="/team/old"`,
		`<Engine defaultHost="SHOP"><Host name="shop" appBase="old/webapps"/>` + stock + `</Engine>`:                `has appBase="old/webapps"`,
		`<Engine defaultHost="shop">` + stock + `</Engine>`:                                                         `no Host of it has name="shop"`,
		`<Engine><Host name="shop"/></Engine>`:                                                                      `no Host of it has name="localhost"`,
		`<Engine><Host name="localhost" xmlBase="/team/conf"/></Engine>`:                                            `xmlBase="/team/conf"`,
		`<Engine><Host name="localhost" deployIgnore="docs|ROOT.*"/></Engine>`:                                      "keeps ROOT.war from being deployed",
		`<Engine><Host name="localhost" deployIgnore="(?&lt;!x)y"/></Engine>`:                                       "remove deployIgnore",
		`<Engine><Host name="localhost" appBase="/old"/></Engine></Service><Service><Engine>` + stock + `</Engine>`: `has appBase="/old"`,
	} {
		for _, service := range []string{`<Connector/>` + engine, strings.Replace(engine, "</Engine>", "</Engine><Connector/>", 1)} {
			_, err := serverXML([]byte(`<Server><Service>`+service+`</Service></Server>`), 18081, "", "ROOT.war")
			if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "name its folder in runtime.tomcat.conf") {
				t.Errorf("%s: %v, want %q and the way out", service, err, want)
			}
		}
	}
}

func FuzzServerXML(f *testing.F) {
	for _, name := range []string{"testdata/debian.xml", "testdata/tarball.xml"} {
		src, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		once, err := serverXML(src, 18081, "", "ROOT.war")
		if err != nil {
			return
		}
		if again, err := serverXML(once, 18081, "", "ROOT.war"); err != nil || !bytes.Equal(once, again) {
			t.Errorf("a second time: %v\n%q\n%q", err, once, again)
		}
	})
}

func edited(t *testing.T, src string) string {
	t.Helper()
	got, err := serverXML([]byte(src), 18081, "", "ROOT.war")
	if err != nil {
		t.Fatal(err)
	}
	return string(got)
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaced is text with one and only one occurrence of old changed.
func replaced(t *testing.T, text, old, by string) string {
	t.Helper()
	if n := strings.Count(text, old); n != 1 {
		t.Fatalf("%q occurs %d times", old, n)
	}
	return strings.Replace(text, old, by, 1)
}
