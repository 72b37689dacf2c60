package posix

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestACaptureKeepsTheBeginningOfOutputAndTheEndOfErrors(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pieces := rapid.SliceOf(rapid.IntRange(0, 3*MaxStderr)).Draw(t, "pieces")
		var c Capture
		var all strings.Builder
		for i, n := range pieces {
			piece := strings.Repeat(string(rune('a'+i%26)), n)
			all.WriteString(piece)
			for _, w := range []interface{ Write([]byte) (int, error) }{c.Stdout(), c.Stderr()} {
				if wrote, err := w.Write([]byte(piece)); wrote != n || err != nil {
					t.Fatalf("wrote %d of %d, %v", wrote, n, err)
				}
			}
		}
		whole := all.String()
		if string(c.Output()) != whole[:min(len(whole), MaxOutput)] {
			t.Fatal("the output is not the beginning of what was written")
		}
		if c.Complaint() != whole[max(0, len(whole)-MaxStderr):] {
			t.Fatal("the complaint is not the end of what was written")
		}
	})
}
