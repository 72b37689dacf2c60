package e2e

import (
	"fmt"
	"net"
	"strconv"
	"time"
)

// listening reports whether somebody accepts connections on a loopback port.
func listening(port int) bool {
	c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), time.Second)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

func itoa(n int) string { return strconv.Itoa(n) }
