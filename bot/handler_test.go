package bot

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"ipublish/deploy"
)

func says(t *testing.T, m *memory, text string) Answer {
	t.Helper()
	return saysAs(t, m, "slack:UADMIN", text, fmt.Sprintf("key of %s at %d", text, len(m.events)))
}

func saysAs(t *testing.T, m *memory, id, text, key string) Answer {
	t.Helper()
	a := newHandler(m).Handle(t.Context(), deploy.Command{
		Chat: "slack", Channel: shopChannel, User: deploy.Actor{ID: id, Name: "Ann"}, Text: text, Key: key,
	})
	if strings.ContainsFunc(a.Text, func(r rune) bool { return r < ' ' && r != '\n' }) {
		t.Errorf("%q is answered with control characters: %q", text, a.Text)
	}
	return a
}

func contains(t *testing.T, text string, wants ...string) {
	t.Helper()
	for _, w := range wants {
		if !strings.Contains(text, w) {
			t.Errorf("%q does not tell %q", text, w)
		}
	}
}

func TestADeployIsQueuedWithItsActorAndOrigin(t *testing.T) {
	m := newMemory()
	a := saysAs(t, m, "slack:UDEPLOY", "deploy feature/x", "slack:trigger-1")
	contains(t, a.Text, "#1 queued", "shop → production", "feature/x", "cancel #1")
	s, err := m.State(1)
	if err != nil || a.Deploy != 1 || a.Code != "" {
		t.Fatalf("got %+v, %v", a, err)
	}
	r := s.Request
	if r.By.ID != "slack:UDEPLOY" || r.Origin != shopChannel || r.Key != "slack:trigger-1" || r.Ref != "feature/x" || r.Auto || r.At.IsZero() || r.Target() != shopProd {
		t.Errorf("the request is %+v", r)
	}
}

func TestTheSameCommandTwiceIsOneDeployWithTheSameAnswer(t *testing.T) {
	for _, text := range []string{"deploy main", "rollback", "accept", "adopt", `lock "why"`, `lock "why" for 2h`} {
		m := newMemory()
		first, second := saysAs(t, m, "slack:UADMIN", text, "k"), saysAs(t, m, "slack:UADMIN", text, "k")
		if first.Text != second.Text || first.Deploy != second.Deploy || len(m.ids()) != 1 {
			t.Errorf("%s: %+v, then %+v", text, first, second)
		}
	}
}

func TestForceCarriesItsReason(t *testing.T) {
	m := newMemory()
	says(t, m, `deploy main --force "the fix is worse"`)
	if s, _ := m.State(1); s.Request.Force != "the fix is worse" {
		t.Errorf("got %+v", s.Request)
	}
}

func TestAForcedPlanIsAPreviewThatAnybodyMaySee(t *testing.T) {
	m := newMemory()
	a := saysAs(t, m, "slack:UNOBODY", `plan main --force "see what would happen"`, "k")
	if a.Code != "" || a.Later == nil || a.Verb != VerbPlan {
		t.Fatalf("got %+v", a)
	}
	a.Later(t.Context())
	if m.planned.Force != "see what would happen" || len(m.events) != 0 {
		t.Errorf("planned for %+v with %d events", m.planned, len(m.events))
	}
	contains(t, saysAs(t, m, "slack:UNOBODY", "help plan", "k2").Text, "--force", "nothing is recorded")
}

func TestARefusedSubmitIsExplained(t *testing.T) {
	m := newMemory()
	m.refuse = &deploy.Error{Code: deploy.CodeRefused, Message: "shop/production is frozen until Monday"}
	a := says(t, m, "deploy main")
	if a.Code != deploy.CodeRefused || a.Deploy != 0 {
		t.Errorf("got %+v", a)
	}
	contains(t, a.Text, "frozen until Monday")
	m.refuse = errors.New("disk path /secret/place")
	if a = says(t, m, "deploy main"); strings.Contains(a.Text, "secret") || a.Code != deploy.CodeInternal {
		t.Errorf("got %+v", a)
	}
}

func TestWhoamiPrintsIdsAsTheConfigurationTakesThem(t *testing.T) {
	contains(t, saysAs(t, newMemory(), "slack:UNOBODY", "whoami", "k").Text, "slack:UNOBODY", shopChannel)
}

func TestAStrangerLearnsNothing(t *testing.T) {
	for _, text := range []string{"status", "deploy shpo", "help", "nonsense"} {
		a := saysAs(t, newMemory(), "discord:U1", text, "k")
		if a.Code != deploy.CodeRefused || strings.Contains(a.Text, "shop") {
			t.Errorf("%s: %+v", text, a)
		}
	}
}
