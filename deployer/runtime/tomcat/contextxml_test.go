package tomcat

import (
	"strings"
	"testing"
	"time"
)

func TestAContextGetsMostOfTheStopTimeUnlessItHasATimeOfItsOwn(t *testing.T) {
	for src, want := range map[string]string{
		"": "<Context unloadDelay=\"22500\"/>\n",
		"\ufeff<?xml version='1.0' encoding=\"GBK\"?>\r\n<!-- <Context/> -->\r\n<Context\r\n reloadable='true'>\r\n <Manager pathname=''/>\xc4\xe3</Context>\r\n": "\ufeff<?xml version='1.0' encoding=\"GBK\"?>\r\n<!-- <Context/> -->\r\n" +
			"<Context unloadDelay=\"22500\"\r\n reloadable='true'>\r\n <Manager pathname=''/>\xc4\xe3</Context>\r\n",
		`<Context unloadDelay = '5000'/>`:               `<Context unloadDelay = '5000'/>`,
		`<Context><Context unloadDelay="1"/></Context>`: `<Context unloadDelay="22500"><Context unloadDelay="1"/></Context>`,
	} {
		got, err := contextXML([]byte(src), 30*time.Second)
		if err != nil || string(got) != want {
			t.Errorf("%q became\n%q, %v, want\n%q", src, got, err, want)
		}
		again, err := contextXML(got, 30*time.Second)
		if err != nil || string(again) != want {
			t.Errorf("%q became %q the second time, %v", src, again, err)
		}
	}
	if got, err := contextXML([]byte("<Context/>"), 0); err != nil || string(got) != "<Context/>" {
		t.Errorf("without a stop time: %q, %v", got, err)
	}
	for src, want := range map[string]string{"<Server/>": "not a Context", "<Context>": "not well-formed", " ": "not a Context"} {
		if _, err := contextXML([]byte(src), time.Second); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", src, err, want)
		}
	}
}

func TestARequestThatNeverEndsLeavesTheApplicationTimeForItsOwnEnd(t *testing.T) {
	for stop, want := range map[time.Duration]time.Duration{
		time.Second: 2 * time.Second, 5 * time.Second: 2 * time.Second, 8 * time.Second: 3 * time.Second,
		20 * time.Second: 15 * time.Second, 30 * time.Second: 22500 * time.Millisecond, 2 * time.Minute: 90 * time.Second,
	} {
		if got := unload(stop); got != want {
			t.Errorf("of %s requests in flight get %s, want %s", stop, got, want)
		}
	}
}

func TestADescriptorLosesItsDocBaseAndNothingElse(t *testing.T) {
	for src, want := range map[string]string{
		`<Context docBase="/opt/shop" path=""><Resource docBase="x"/></Context>`: `<Context path=""><Resource docBase="x"/></Context>`,
		"<Context\n\tpath=''\n\tdocBase = '/opt/a > b'\n/>":                      "<Context\n\tpath=''\n/>",
		`<Context docBaseX="1"/>`:                                                `<Context docBaseX="1"/>`,
		``:                                                                       ``,
	} {
		if got, err := descriptor([]byte(src)); err != nil || string(got) != want {
			t.Errorf("%q became %q, %v, want %q", src, got, err, want)
		}
	}
}

func FuzzContextFiles(f *testing.F) {
	f.Add([]byte("<Context\n docBase = '/opt/shop' path=\"\"><Resource/></Context>"))
	f.Add([]byte("<?xml version='1.0'?><!-- x --><Context unloadDelay='1' docBase=\"a\"/>"))
	f.Fuzz(func(t *testing.T, src []byte) {
		for name, change := range map[string]func([]byte) ([]byte, error){
			"descriptor": descriptor,
			"context":    func(b []byte) ([]byte, error) { return contextXML(b, time.Second) },
		} {
			once, err := change(src)
			if err != nil {
				continue
			}
			if again, err := change(once); err != nil || string(again) != string(once) {
				t.Errorf("%s, a second time: %v\n%q\n%q", name, err, once, again)
			}
		}
	})
}
