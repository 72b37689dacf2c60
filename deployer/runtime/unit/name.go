package unit

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// longest is how long a unit's name may become, in bytes; systemd takes 255.
const longest = 200

// Name is the unit of the slot whose folder is home (…/APP/ENV/SLOT):
// ipublish-APP-ENV-SLOT.service. A dash within one of the three is doubled, so
// that no two slots share a name; what systemd does not take as a name is
// written as systemd-escape would. A very long name ends in a hash of home.
func Name(home string) string {
	name := "ipublish"
	for _, part := range slot(home) {
		name += "-" + escape(part)
	}
	if len(name) > longest {
		sum := sha256.Sum256([]byte(home))
		name = name[:longest/2] + "-" + hex.EncodeToString(sum[:16])
	}
	return name + ".service"
}

// slot is the last three folders of a path, fewer if it has fewer.
func slot(home string) []string {
	parts := strings.FieldsFunc(home, func(r rune) bool { return r == '/' })
	return parts[max(0, len(parts)-3):]
}

func escape(part string) string {
	var b strings.Builder
	for i, c := range []byte(part) {
		inner := i > 0 && i < len(part)-1
		switch {
		case c == '-' && inner:
			b.WriteString("--")
		case c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '.' && inner:
			b.WriteByte(c)
		default:
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}
