package unit_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"ipublish/deployer/runtime/unit"

	"pgregory.net/rapid"
)

func TestASlotsUnitIsNamedForItsAppEnvironmentAndSlot(t *testing.T) {
	for home, want := range map[string]string{
		"/var/lib/ipublish-releases/shop/production/blue": "ipublish-shop-production-blue.service",
		"/srv/my-shop/prod_eu/main/":                      "ipublish-my--shop-prod_eu-main.service",
		"/srv/shop/my-prod/main":                          "ipublish-shop-my--prod-main.service",
		"/a":                                              "ipublish-a.service",
		"/x/-rf/../@i.service":                            `ipublish-\x2drf-\x2e\x2e-\x40i.service.service`,
		"/x/a b/$(id)/*?":                                 `ipublish-a\x20b-\x24\x28id\x29-\x2a\x3f.service`,
	} {
		if got := unit.Name(home); got != want {
			t.Errorf("%s is %s, want %s", home, got, want)
		}
	}
}

func TestNoTwoSlotsShareAUnit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		part := rapid.StringMatching(`[a-c_.@ -]{1,6}`)
		home := func(label string) string {
			return "/r/" + part.Draw(t, label+" app") + "/" + part.Draw(t, label+" environment") + "/" + part.Draw(t, label+" slot")
		}
		a, b := home("one"), home("other")
		if a != b && unit.Name(a) == unit.Name(b) {
			t.Errorf("%q and %q are both %s", a, b, unit.Name(a))
		}
	})
}

func TestANameIsAlwaysOneThatSystemdTakes(t *testing.T) {
	form := regexp.MustCompile(`^ipublish[A-Za-z0-9:_.\\-]*\.service$`)
	rapid.Check(t, func(t *rapid.T) {
		home := "/" + strings.Join(rapid.SliceOfN(rapid.String(), 1, 4).Draw(t, "parts"), "/")
		if name := unit.Name(home); !form.MatchString(name) || len(name) > 255 {
			t.Errorf("%q is %q", home, name)
		}
	})
	long := "/r/" + strings.Repeat("a-", 200)
	if one, other := unit.Name(long+"/x/blue"), unit.Name(long+"/x/green"); one == other || len(one) > 255 {
		t.Errorf("long names are %s and %s", one, other)
	}
}

func TestTheUnitWaitsLongerThanWhoStopsIt(t *testing.T) {
	if text := unit.Text("/r/shop/p/blue", 1500*time.Millisecond); !strings.Contains(text, "\nTimeoutStopSec=7\n") {
		t.Errorf("the unit is\n%s", text)
	}
}

func TestAFolderIsItselfInAUnit(t *testing.T) {
	text := unit.Text(`/r/a "b" 100% $HOME\/p/blue`, time.Second)
	for _, want := range []string{
		`ExecStart=/bin/sh "/r/a \"b\" 100%% $$HOME\\/p/blue/run"`,
		`ConditionPathExists=/r/a "b" 100%% $HOME\/p/blue/run`,
		`RequiresMountsFor="/r/a \"b\" 100%% $HOME\\/p/blue"`,
	} {
		if !strings.Contains(text, want+"\n") {
			t.Errorf("%s is not in\n%s", want, text)
		}
	}
}
