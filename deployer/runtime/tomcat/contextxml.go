package tomcat

import (
	"errors"
	"strconv"
	"time"
)

// contextXML returns conf/context.xml with the time that requests in flight get
// after SIGTERM, unless it says one itself; a missing file is nil and becomes
// one that says nothing else. Tomcat's own default is two seconds.
func contextXML(src []byte, stop time.Duration) ([]byte, error) {
	if len(src) == 0 {
		src = []byte("<Context/>\n")
	}
	found := false
	out, err := rewrite(src, func(t tag) error {
		if t.path != "Context" {
			return nil
		}
		found = true
		if _, ok := t.value("unloadDelay"); !ok && stop > 0 {
			t.set("unloadDelay", strconv.FormatInt(stop.Milliseconds(), 10))
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("its root is not a Context")
	}
	return out, err
}

// descriptor returns a context's own file, conf/ENGINE/HOST/NAME.xml, without
// the docBase that would serve something else than the release.
func descriptor(src []byte) ([]byte, error) {
	return rewrite(src, func(t tag) error {
		if t.path == "Context" {
			t.remove("docBase")
		}
		return nil
	})
}
