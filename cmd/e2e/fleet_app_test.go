package e2e

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// placeVar tells the application of a fleet the folder of its machine.
const placeVar = "E2E_PLACE"

// boot takes its time, after it has written down that this version was started here.
func (b behaviour) boot(ctx context.Context) error {
	if place := os.Getenv(placeVar); place != "" {
		if err := os.WriteFile(filepath.Join(place, "started"), []byte(b.Version), 0o600); err != nil {
			return err
		}
	}
	select {
	case <-time.After(time.Duration(b.Boot) * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sickHere: the machine's file sick names this version.
func (b behaviour) sickHere() bool {
	place := os.Getenv(placeVar)
	if place == "" {
		return false
	}
	text, err := os.ReadFile(filepath.Join(place, "sick"))
	return err == nil && strings.TrimSpace(string(text)) == b.Version
}

// sicken makes one version of the application fail its check on the machine.
func (m *machine) sicken(version string) {
	m.t.Helper()
	write(m.t, m.path("sick"), version)
}

// started is the version that was started last on the machine.
func (m *machine) started() string {
	text, err := os.ReadFile(m.path("started"))
	if err != nil {
		return ""
	}
	return string(text)
}

// noise is text that nothing can compress to less than half.
func noise(n int) string {
	b := make([]byte, n/2)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
