package source

import (
	"net/http"
	"testing"
	"time"

	"ipublish/deploy"
)

// Storages such as S3 answer 403 for a missing file to whom may not list.
func TestAForbiddenFileMayBeOneThatIsNotThereYet(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, _ *http.Request) {
		if n > 1 {
			say(w, theWar)
			return
		}
		w.WriteHeader(http.StatusForbidden)
	}, func(c *ci) {
		got, err := c.build()
		c.wantKept(got, err, theWar)
		if want := "waiting for CI: nexus.test answers 403 Forbidden, perhaps because shop.war of 4f2a91c is not there yet (0s of 20m)"; c.said.String() != want {
			t.Errorf("told %s", c.said)
		}
	})
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) }, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "shop.war answered 403 Forbidden for 20m", "the CI job of 4f2a91c", "check build.headers")
		c.nothingKept()
	})
}

func TestThePatienceThatAServerAsksForIsShortWhileAFileIsNotThere(t *testing.T) {
	for _, status := range []int{http.StatusNotFound, http.StatusConflict, http.StatusForbidden} {
		withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, _ *http.Request) {
			if n > 1 {
				say(w, theWar)
				return
			}
			w.Header().Set("Retry-After", "86400")
			w.WriteHeader(status)
		}, func(c *ci) {
			began := time.Now()
			got, err := c.build()
			c.wantKept(got, err, theWar)
			if took := time.Since(began); took != time.Minute {
				t.Errorf("after %d it took %s", status, took)
			}
		})
	}
}

func TestALoginPageIsNoArtifact(t *testing.T) {
	page := "<!DOCTYPE html><title>Sign in</title>"
	for _, c := range []struct{ name, kind, body string }{
		{"shop.war", "text/html; charset=utf-8", page}, {"SHOP.JAR", "text/html", page}, {"shop.zip", "text/html", "#!/bin/sh\n"}, {"shop.ear", "text/html", ""},
		{"shop.tar.gz", "text/html", page}, {"shop.tgz", "text/html", "PK\x03\x04"}, {"shop.sql.gz", "text/html", "\x1f"},
	} {
		withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", c.kind)
			say(w, c.body)
		}, func(ci *ci) {
			ci.p.Build.ArtifactURL = "http://nexus.test/{commit}/" + c.name
			_, err := ci.build()
			wantCode(t, err, deploy.CodeFailed, c.name+" answered something that is no archive (text/html): check build.headers")
			ci.nothingKept()
		})
	}
	for name, body := range map[string]string{"shop.zip": "PK\x05\x06", "shop.jar": "#!/bin/sh\nPK\x03\x04", "shop.gz": "\x1f\x8b", "shop": page, "shop.html": page} {
		withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { say(w, body) }, func(ci *ci) {
			ci.p.Build.ArtifactURL = "http://nexus.test/{commit}/" + name
			if got, err := ci.build(); err != nil || read(t, ci.w, got.SHA256) != body {
				t.Errorf("%s: %+v, %v", name, got, err)
			}
		})
	}
}

func TestAPollThatTheEndOfTheWaitingCutsOffDoesNotHideTheLastAnswer(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		<-r.Context().Done()
	}, func(c *ci) {
		c.p.Build.Wait = deploy.Duration(30 * time.Second)
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "CI did not deliver http://nexus.test", "within 30s")
	})
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, r *http.Request) {
		if n == 1 {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		say(w, theWar)
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}, func(c *ci) {
		c.p.Build.Wait = deploy.Duration(30 * time.Second)
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "the download was not finished")
	})
}
