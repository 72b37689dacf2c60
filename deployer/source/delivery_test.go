package source

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"ipublish/deploy"
)

func readDirNames(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, err
}

func TestTheArtifactOfCIIsWaitedForAndKept(t *testing.T) {
	withCI(t, Options{}, func(c *ci, n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.WriteHeader(http.StatusNotFound)
		case 2:
			w.WriteHeader(http.StatusConflict)
		case 3:
			w.WriteHeader(http.StatusTooEarly)
		case 4:
			w.WriteHeader(http.StatusBadGateway)
		default:
			say(w, theWar)
		}
	}, func(c *ci) {
		began := time.Now()
		got, err := c.build()
		c.wantKept(got, err, theWar)
		if took := time.Since(began); took != 2*time.Second+3*time.Second+4500*time.Millisecond+6750*time.Millisecond {
			t.Errorf("four pauses took %s", took)
		}
		want := `waiting for CI: shop.war of 4f2a91c is not there yet (0s of 20m)
waiting for CI: shop.war of 4f2a91c is not there yet (2s of 20m)
waiting for CI: shop.war of 4f2a91c is not there yet (5s of 20m)
waiting for CI: nexus.test answers 502 Bad Gateway, trying again (10s of 20m)`
		if c.said.String() != want {
			t.Errorf("told:\n%s\nwant:\n%s", c.said, want)
		}
		asked := c.requests()[0]
		if asked.URL.Path != "/shop/"+c.r.Commit.SHA+"/shop.war" || asked.Method != http.MethodGet {
			t.Errorf("asked %s %s", asked.Method, asked.URL)
		}
	})
}

func TestTheSameArtifactOfCIIsNotDownloadedAgain(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { say(w, theWar) }, func(c *ci) {
		first, err := c.build()
		c.wantKept(first, err, theWar)
		second, err := c.build()
		c.wantKept(second, err, theWar)
		if second != first || len(c.requests()) != 1 {
			t.Errorf("%+v, then %+v, with %d requests", first, second, len(c.requests()))
		}
	})
}

func TestTheWaitingForCIEndsWithTheURLAndWhatToDo(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, func(c *ci) {
		c.p.Build.ArtifactURL += "?token=canary-query"
		c.p.Build.Wait = deploy.Duration(90 * time.Second)
		began := time.Now()
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "http://nexus.test/shop/"+c.r.Commit.SHA+"/shop.war within 1m30s", "the CI job of 4f2a91c", "build.wait")
		if took := time.Since(began); took != 90*time.Second {
			t.Errorf("it took %s", took)
		}
		if n, told := len(c.requests()), strings.Count(c.said.String(), "waiting for CI"); n != told || n < 8 || n > 12 {
			t.Errorf("%d polls, %d lines", n, told)
		}
		if strings.Contains(err.Error()+c.said.String(), "canary") {
			t.Errorf("the query is told: %v", err)
		}
		c.nothingKept()
	})
}

func TestWhatTheServerSaidLastIsToldWhenTheWaitingEnds(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
	}, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "within 20m", "nexus.test answers 500 Internal Server Error")
		c.p.Build.ArtifactURL = "http://elsewhere.test/{short}.war"
		_, err = c.build()
		wantCode(t, err, deploy.CodeTimeout, "http://elsewhere.test/4f2a91c.war", "no such host", "check that the bot's machine reaches elsewhere.test")
	})
}

func TestAServerThatAsksForPatienceGetsIt(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, _ *http.Request) {
		switch n {
		case 1:
			w.Header().Set("Retry-After", "100")
			w.WriteHeader(http.StatusTooManyRequests)
		case 2:
			w.Header().Set("Retry-After", time.Now().Add(50*time.Second).UTC().Format(http.TimeFormat))
			w.WriteHeader(http.StatusServiceUnavailable)
		case 3:
			w.Header().Set("Retry-After", "-5")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			say(w, theWar)
		}
	}, func(c *ci) {
		began := time.Now()
		got, err := c.build()
		c.wantKept(got, err, theWar)
		if took := time.Since(began); took < 154*time.Second || took > 155*time.Second {
			t.Errorf("it took %s", took)
		}
	})
}

func TestAnAnswerThatWaitingCannotChangeEndsItAtOnce(t *testing.T) {
	for status, want := range map[int]struct {
		code deploy.Code
		part string
	}{
		http.StatusUnauthorized: {deploy.CodeRefused, "wants credentials (it answers 401 Unauthorized): put them in build.headers"},
		http.StatusGone:         {deploy.CodeFailed, "the server answers 410 Gone"},
		http.StatusBadRequest:   {deploy.CodeFailed, "the server answers 400 Bad Request"},
		http.StatusNoContent:    {deploy.CodeFailed, "the server answers 204 No Content"},
		http.StatusNotModified:  {deploy.CodeFailed, "the server answers 304 Not Modified"},
	} {
		withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }, func(c *ci) {
			_, err := c.build()
			wantCode(t, err, want.code, want.part)
			if len(c.requests()) != 1 || c.said.String() != "" {
				t.Errorf("%d: %d requests; %s", status, len(c.requests()), c.said)
			}
			c.nothingKept()
		})
	}
}

func TestABrokenOrSilentDownloadIsTriedAgain(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, r *http.Request) {
		switch n {
		case 1: // cut
			w.Header().Set("Content-Length", "11")
			say(w, theWar[:6])
		case 2: // silent within the body
			say(w, theWar[:6])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		case 3: // silent before the answer
			<-r.Context().Done()
		case 4: // a connection that is dropped
			panic(http.ErrAbortHandler)
		case 5: // slow, but never silent for long
			for _, b := range []string{theWar[:3], theWar[3:8], theWar[8:]} {
				say(w, b)
				w.(http.Flusher).Flush()
				<-time.After(50 * time.Second)
			}
		}
	}, func(c *ci) {
		got, err := c.build()
		c.wantKept(got, err, theWar)
		told := c.said.String()
		if strings.Count(told, "no whole answer from nexus.test, trying again: the connection broke") != 1 ||
			strings.Count(told, "trying again: nothing came for a minute") != 2 || len(c.requests()) != 5 {
			t.Errorf("%d requests:\n%s", len(c.requests()), told)
		}
	})
}

func TestADownloadThatIsStillRunningWhenTheWaitingEndsIsNotKept(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			say(w, theWar)
			w.(http.Flusher).Flush()
			<-time.After(10 * time.Second)
		}
	}, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout, "within 20m", "the download was not finished")
		c.nothingKept()
	})
}

func TestADownloadBeyondTheBoundIsRefused(t *testing.T) {
	for name, length := range map[string]string{"announced": "101", "not announced": ""} {
		withCI(t, Options{MaxBytes: 100}, func(_ *ci, _ int, w http.ResponseWriter, r *http.Request) {
			if length != "" {
				w.Header().Set("Content-Length", length)
			}
			for r.Context().Err() == nil {
				if _, err := w.Write([]byte(theWar + strings.Repeat(" ", 1<<10))); err != nil {
					return
				}
			}
		}, func(c *ci) {
			_, err := c.build()
			wantCode(t, err, deploy.CodeFailed, "more than 100 B")
			if len(c.requests()) != 1 {
				t.Errorf("%s: asked %d times", name, len(c.requests()))
			}
			c.nothingKept()
		})
	}
}

func TestACancelledBuildDoesNotWaitForCI(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) { http.NotFound(w, nil) }, func(c *ci) {
		for _, deadline := range []bool{false, true} {
			ctx, cancel := context.WithCancel(c.t.Context())
			code := deploy.CodeCancelled
			if deadline {
				ctx, cancel = context.WithTimeout(c.t.Context(), 31*time.Second)
				code = deploy.CodeTimeout
			} else {
				time.AfterFunc(31*time.Second, cancel)
			}
			began := time.Now()
			_, err := c.w.Build(ctx, c.p, c.r, c.said.tell)
			wantCode(t, err, code)
			if took := time.Since(began); took != 31*time.Second {
				t.Errorf("it took %s", took)
			}
			cancel()
		}
		c.nothingKept()
	})
}

// withSums serves the artifact and, at /sum, what sum gives for its n-th request.
func withSums(t *testing.T, sum func(n int) string, test func(c *ci)) {
	t.Helper()
	n := 0
	withCI(t, Options{}, func(_ *ci, _ int, w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/sum") {
			say(w, theWar)
			return
		}
		n++
		if text := sum(n); text != "" {
			say(w, text)
			return
		}
		w.WriteHeader(http.StatusNotFound)
	}, func(c *ci) {
		c.p.Build.SHA256URL = "http://nexus.test/sum/{short}"
		test(c)
	})
}

func (c *ci) wantRequests(sums, artifacts int) {
	c.t.Helper()
	counted := map[bool]int{}
	for _, r := range c.requests() {
		counted[strings.HasPrefix(r.URL.Path, "/sum")]++
	}
	if counted[true] != sums || counted[false] != artifacts {
		c.t.Errorf("%d requests for the checksum and %d for the artifact, want %d and %d", counted[true], counted[false], sums, artifacts)
	}
}

func TestTheChecksumIsWaitedForWithoutDownloadingTheArtifactMeanwhile(t *testing.T) {
	withSums(t, func(n int) string {
		if n < 4 {
			return ""
		}
		return strings.ToUpper(sumOf(theWar)) + "  shop.war\n"
	}, func(c *ci) {
		got, err := c.build()
		c.wantKept(got, err, theWar)
		if !strings.Contains(c.said.String(), "waiting for CI: the checksum of shop.war of 4f2a91c is not there yet (2s of 20m)") {
			t.Errorf("told: %s", c.said)
		}
		c.wantRequests(4, 1)
	})
}

func TestAWrongChecksumIsDoubtedOnceAndThenAFailure(t *testing.T) {
	withSums(t, func(int) string { return sumOf("another") }, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeFailed, "it is "+sumOf(theWar), "should be "+sumOf("another"), "http://nexus.test/sum/4f2a91c")
		c.wantRequests(2, 2)
		if !strings.Contains(c.said.String(), "its checksum do not fit, downloading both once more") {
			t.Errorf("told: %s", c.said)
		}
		c.nothingKept()
	})
}

func TestAnArtifactThatCIWasReplacingIsTakenWithItsNewChecksum(t *testing.T) {
	withSums(t, func(n int) string {
		return sumOf(map[bool]string{true: theWar + " of yesterday", false: theWar}[n == 1])
	}, func(c *ci) {
		got, err := c.build()
		c.wantKept(got, err, theWar)
		c.wantRequests(2, 2)
	})
}

func TestASecondDoubtIsAFailureWhateverCameBetween(t *testing.T) {
	withSums(t, func(n int) string { return map[bool]string{true: "", false: sumOf("another")}[n == 2] }, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeFailed, "should be "+sumOf("another"))
		c.wantRequests(3, 2)
	})
}

func TestATextThatIsNoChecksumIsSaidToBeNone(t *testing.T) {
	for _, text := range []string{"<html>", "sha256:" + sumOf("x"), sumOf("x")[:63], sumOf("x") + "0", strings.Repeat(" ", maxChecksum) + sumOf(theWar), " "} {
		withSums(t, func(int) string { return text }, func(c *ci) {
			_, err := c.build()
			wantCode(t, err, deploy.CodeFailed, "http://nexus.test/sum/4f2a91c is no checksum", "64 hex digits")
			c.wantRequests(2, 0)
		})
	}
}

func TestARedirectLoopEnds(t *testing.T) {
	withCI(t, Options{}, func(_ *ci, n int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, fmt.Sprintf("/%d", n), http.StatusFound)
	}, func(c *ci) {
		_, err := c.build()
		wantCode(t, err, deploy.CodeFailed, "redirects more than 5 times")
		if len(c.requests()) != 1+maxRedirects {
			t.Errorf("%d requests", len(c.requests()))
		}
	})
}

func TestNoHeaderOfADownloadIsEverTold(t *testing.T) {
	secret := "canary-token-value"
	resolve := func(v string) (string, error) { return strings.ReplaceAll(v, "${TOKEN}", secret+"\n"), nil }
	statuses := []int{http.StatusNotFound, http.StatusServiceUnavailable, http.StatusUnauthorized}
	for _, status := range statuses {
		withCI(t, Options{Resolve: resolve}, func(_ *ci, _ int, w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer "+secret || r.Header.Get("X-Plain") != "plain-canary" {
				t.Errorf("the headers are %v", r.Header)
			}
			http.Error(w, r.Header.Get("Authorization"), status)
		}, func(c *ci) {
			c.p.Build.Headers = map[string]string{"Authorization": "Bearer ${TOKEN}", "x-plain": "plain-canary"}
			_, err := c.build()
			if err == nil || strings.Contains(fmt.Sprintf("%v %#v", err, deploy.AsError(err))+c.said.String(), "canary") {
				t.Errorf("%d: %v\n%s", status, err, c.said)
			}
		})
	}
	// A server that sends it back in the name of a host.
	withCI(t, Options{Resolve: resolve}, func(_ *ci, n int, w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+secret+".test/", http.StatusFound)
	}, func(c *ci) {
		c.p.Build.Headers = map[string]string{"Authorization": "Bearer ${TOKEN}"}
		_, err := c.build()
		wantCode(t, err, deploy.CodeTimeout)
		if strings.Contains(err.Error()+c.said.String(), secret) || !strings.Contains(c.said.String(), "***.test") {
			t.Errorf("%v\n%s", err, c.said)
		}
	})
}

func TestAHeaderThatCannotBeSentIsNamedBeforeAnythingIsAsked(t *testing.T) {
	for text, resolve := range map[string]func(string) (string, error){
		"build.headers.Authorization holds a reference": func(string) (string, error) { return "", os.ErrNotExist },
		"build.headers.Authorization holds a line":      func(string) (string, error) { return "canary\r\nX: y", nil },
	} {
		withCI(t, Options{Resolve: resolve}, func(_ *ci, _ int, w http.ResponseWriter, _ *http.Request) {}, func(c *ci) {
			c.p.Build.Headers = map[string]string{"Authorization": "${TOKEN}"}
			_, err := c.build()
			wantCode(t, err, deploy.CodeInvalid, text)
			if len(c.requests()) != 0 || strings.Contains(err.Error(), "canary") {
				t.Errorf("%d requests, %v", len(c.requests()), err)
			}
		})
	}
}
