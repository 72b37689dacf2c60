package tomcat

import (
	"errors"
	"strconv"
	"time"
)

// contextXML returns conf/context.xml with the time that requests in flight get
// after SIGTERM, unless it says one itself; a missing file is nil and becomes
// one that says nothing else.
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
			t.set("unloadDelay", strconv.FormatInt(unload(stop).Milliseconds(), 10))
		}
		return nil
	})
	if err == nil && !found {
		err = errors.New("its root is not a Context: put Tomcat's own file there, or remove it")
	}
	return out, err
}

// unload leaves the application time for its own end before SIGKILL comes; it is
// never less than Tomcat's default of two seconds.
func unload(stop time.Duration) time.Duration {
	return max(2*time.Second, stop-max(5*time.Second, stop/4))
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
