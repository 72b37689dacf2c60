package source

import "testing"

func TestOfASecretThatBeginsWithAnotherNothingIsLeft(t *testing.T) {
	for _, secrets := range [][]string{{"canary", "canary-token"}, {"canary-token", "canary"}, {"x\ncanary", "canary-token"}} {
		if got := hiding(secrets).Replace("a canary-token, a canary"); got != "a ***, a ***" {
			t.Errorf("%q: %s", secrets, got)
		}
	}
}
