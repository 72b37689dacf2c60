package nginx

import (
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"ipublish/deployer"
)

// conn is one TCP connection from nginx's host, being made or established.
type conn struct {
	Remote netip.AddrPort
	Inode  string
}

func (p *processes) addConn(remote, inode string) {
	if a, ok := parseHexAddr(remote); ok {
		p.conns = append(p.conns, conn{Remote: a, Inode: inode})
	}
}

// inFlight counts the connections to an address that no new request goes to;
// -1 while a reload is under way. Zero says what invariant I5 asks: no worker
// older than the switch is alive, or none has a connection there.
func (p processes) inFlight(a peer) int {
	n, owned := 0, p.ownersKnown()
	for _, c := range p.conns {
		if a.is(c.Remote) && (!owned || p.owns(c.Inode)) {
			n++
		}
	}
	switch {
	case n == 0 && !p.settled():
		return -1
	case !owned && p.settled() && len(p.Leaving) == 0:
		return 0 // whoever is connected there, it is not nginx: its workers have the address marked down
	}
	return n
}

// ownersKnown reports whether the sockets of every worker could be read; a
// worker always has some.
func (p processes) ownersKnown() bool {
	for _, w := range slices.Concat(p.Accepting, p.Leaving) {
		if len(p.sockets[w.PID]) == 0 {
			return false
		}
	}
	return true
}

func (p processes) owns(inode string) bool {
	for _, sockets := range p.sockets {
		if sockets[inode] {
			return true
		}
	}
	return false
}

// peer is an address as connections show it. A name has every IP that it
// resolves to on nginx's host; if none is known, its port alone counts.
type peer struct {
	IPs  []netip.Addr
	Port uint16
}

func (a peer) is(remote netip.AddrPort) bool {
	return remote.Port() == a.Port && (len(a.IPs) == 0 || slices.Contains(a.IPs, remote.Addr()))
}

// resolve turns addr into what its connections look like from the host.
func resolve(ctx context.Context, h deployer.Host, addr string) (peer, error) {
	name, port, err := net.SplitHostPort(addr)
	if err != nil {
		return peer{}, invalid("address %q is not host:port", addr)
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return peer{}, invalid("address %q is not host:port", addr)
	}
	p := peer{Port: uint16(n)}
	if ip, err := netip.ParseAddr(name); err == nil {
		p.IPs = []netip.Addr{ip.Unmap()}
		return p, nil
	}
	p.IPs, err = lookUp(ctx, h, name)
	return p, err
}

// lookUp asks the host's own resolver; a host without getent knows no address.
func lookUp(ctx context.Context, h deployer.Host, name string) ([]netip.Addr, error) {
	out, err := h.Run(ctx, []string{"sh", "-c", `getent ahosts "$1" || :`, "ipublish", name}, nil)
	if err != nil {
		return nil, err
	}
	var ips []netip.Addr
	for line := range strings.Lines(string(out)) {
		first, _, _ := strings.Cut(line, " ")
		if ip, err := netip.ParseAddr(first); err == nil && !slices.Contains(ips, ip.Unmap()) {
			ips = append(ips, ip.Unmap())
		}
	}
	return ips, nil
}

// parseHexAddr reads an address of /proc/net/tcp as little-endian kernels print
// it: 32-bit words in the machine's order, then the port.
func parseHexAddr(s string) (netip.AddrPort, bool) {
	text, portText, ok := strings.Cut(s, ":")
	raw, err := hex.DecodeString(text)
	port, portErr := strconv.ParseUint(portText, 16, 16)
	if !ok || err != nil || portErr != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, false
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), ok
}

// hexPorts gives the ports of addrs as /proc/net/tcp prints them.
func hexPorts(addrs []string) []string {
	var ports []string
	for _, a := range addrs {
		_, port, _ := net.SplitHostPort(a)
		n, err := strconv.ParseUint(port, 10, 16)
		if text := fmt.Sprintf("%04X", n); err == nil && !slices.Contains(ports, text) {
			ports = append(ports, text)
		}
	}
	return ports
}
