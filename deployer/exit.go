package deployer

import (
	"fmt"
	"strings"
)

func exitText(code int, stderr string) string {
	s := fmt.Sprintf("exit status %d", code)
	if code < 0 {
		s = "ended by a signal"
	}
	if t := strings.TrimSpace(stderr); t != "" {
		s += ": " + t
	}
	return s
}
