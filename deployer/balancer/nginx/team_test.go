package nginx_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"ipublish/deploy"
	"ipublish/deployer/balancer/nginxtest"
	"ipublish/deployer/drivertest"
)

// headers are the four that a team's location sets, beside what it needs.
const headers = `
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header REMOTE-HOST $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
`

// team is a team's own nginx with two backends, blue and green.
type team struct{ *rig }

// newTeam starts it from http, what stands within the http block; {blue},
// {green} are the backends, {bluePort} is a port alone.
func newTeam(t *testing.T, http string, files map[string]string) team {
	t.Helper()
	r := &rig{t: t, stop: map[string]func(){}}
	for _, addr := range []*string{&r.a, &r.b} {
		name, stop := drivertest.StartBackend(t)
		*addr, r.stop[name] = name, stop
	}
	_, bluePort, _ := strings.Cut(r.a, ":")
	words := strings.NewReplacer("{blue}", r.a, "{green}", r.b, "{bluePort}", bluePort, "{headers}", headers)
	own := map[string]string{}
	for name, text := range files {
		own[name] = words.Replace(text)
	}
	r.server = nginxtest.Start(t, nginxtest.Options{Upstream: "shop_production", Own: words.Replace(http), Files: own})
	r.driver = r.open(nil)
	return team{rig: r}
}

// refusal routes to blue, the running one, and returns the message of the refusal.
func (e team) refusal() string {
	e.t.Helper()
	err := e.driver.Route(e.t.Context(), e.step(e.a))
	if deploy.CodeOf(err) != deploy.CodeRefused {
		e.t.Fatalf("route: %v (code %q), want code refused", err, deploy.CodeOf(err))
	}
	return deploy.MessageOf(err)
}

// line is the number of the only line of a file that contains text.
func (e team) line(name, text string) int {
	e.t.Helper()
	found := 0
	for i, line := range e.lines(name) {
		if strings.Contains(line, text) {
			if found != 0 {
				e.t.Fatalf("%s has %q twice", name, text)
			}
			found = i + 1
		}
	}
	return found
}

func (e team) lines(name string) []string {
	e.t.Helper()
	b, err := os.ReadFile(e.server.Dir + "/" + name)
	if err != nil {
		e.t.Fatal(err)
	}
	return strings.Split(string(b), "\n")
}

// at is a place as a message names it; to may be left out.
func (e team) at(name string, lines ...int) string {
	place := fmt.Sprintf("%s/%s:%d", e.server.Dir, name, lines[0])
	if len(lines) > 1 {
		place += fmt.Sprintf("-%d", lines[1])
	}
	return place
}

func (e team) testedBy(argv []string) error {
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

var adviceForm = regexp.MustCompile("\\(\\d+\\) (/[^:]*):(\\d+)(?:-(\\d+))?: (?:in place of `([^`]*)` write `([^`]*)`|delete `([^`]*)`|inside the block `http` that begins there add `([^`]*)`)")

// obey edits the files exactly as a message says, from the end to the beginning,
// so that the line numbers stay right.
func (e team) obey(message string) {
	e.t.Helper()
	all := adviceForm.FindAllStringSubmatch(message, -1)
	if len(all) == 0 {
		e.t.Fatalf("no advice in %q", message)
	}
	slices.SortFunc(all, func(a, b []string) int { return atoi(b[2]) - atoi(a[2]) })
	for _, m := range all {
		from, to := atoi(m[2]), max(atoi(m[2]), atoi(m[3]))
		content, err := os.ReadFile(m[1])
		if err != nil {
			e.t.Fatal(err)
		}
		lines := strings.Split(string(content), "\n")
		stood := strings.Join(strings.Fields(strings.Join(lines[from-1:to], " ")), " ")
		if text := m[4] + m[6]; !strings.Contains(stood, text) {
			e.t.Errorf("%s:%d-%d holds %q, the message says %q", m[1], from, to, stood, text)
		}
		if m[7] != "" {
			from, to = from+1, from
		}
		lines = slices.Replace(lines, from-1, to, m[5]+m[7])
		if err := os.WriteFile(m[1], []byte(strings.Join(lines, "\n")), 0o644); err != nil {
			e.t.Fatal(err)
		}
	}
}

func atoi(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

func (e team) says(message string, parts ...string) {
	e.t.Helper()
	for _, part := range parts {
		if !strings.Contains(message, part) {
			e.t.Errorf("the message\n%s\ndoes not say\n%s", message, part)
		}
	}
}

// foreign asks as check does, with blue live.
func (e team) foreign() error {
	e.t.Helper()
	return e.foreignTo(e.a)
}

func (e team) foreignTo(up string) error {
	e.t.Helper()
	d, ok := e.driver.(interface {
		Foreign(context.Context, deploy.Step) error
	})
	if !ok {
		e.t.Fatal("the driver has no method Foreign")
	}
	return d.Foreign(e.t.Context(), e.step(up))
}

// foreignOrRoute gives the refusal of the first route; check must have told the
// same places, where the configuration can be read without ipublish's file.
func (e team) foreignOrRoute() string {
	e.t.Helper()
	check := deploy.MessageOf(e.foreign())
	message := e.refusal()
	for _, m := range adviceForm.FindAllString(message, -1) {
		if check != "" && !strings.Contains(check, m) {
			e.t.Errorf("check does not say %q but\n%s", m, check)
		}
	}
	return message
}

// interrupted routes to blue and loses the host before the nth of what.
func (e team) interrupted(what string, nth int) {
	e.t.Helper()
	h := faultyHost{Host: localHost(e.t), before: func(did string) error {
		if strings.Contains(did, what) {
			if nth--; nth < 0 {
				return &deploy.Error{Code: deploy.CodeUnavailable, Err: errors.New("connection lost")}
			}
		}
		return nil
	}}
	d := openOn(e.t, e.server, h, nil)
	if err := d.Route(e.t.Context(), e.step(e.a)); err != nil && deploy.CodeOf(err) != deploy.CodeUnavailable && deploy.CodeOf(err) != deploy.CodeRefused {
		e.t.Errorf("interrupted: %v", err)
	}
}
