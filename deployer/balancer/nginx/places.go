package nginx

import (
	"context"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"strings"

	"ipublish/deployer"
)

// places is what nginx's machine knows of addresses.
type places struct {
	Own   []netip.Addr            // its own
	Names map[string][]netip.Addr // what names resolve to there
}

// placesScript prints "own IPV4", "own6 HEX" for the machine's own addresses,
// and "name NAME IP" for each name of its arguments that resolves.
const placesScript = `
exec 2>/dev/null
awk '/32 host LOCAL/ { print "own", ip } { ip = $2 }' /proc/net/fib_trie
awk '{ print "own6", $1 }' /proc/net/if_inet6
for n; do
	getent ahosts "$n" | while read -r ip rest; do echo "name $n $ip"; done
done
exit 0
`

// lookAround asks nginx's machine for its addresses and those of names; what it
// cannot tell is not known.
func lookAround(ctx context.Context, h deployer.Host, names []string) (places, error) {
	out, err := h.Run(ctx, append([]string{"sh", "-c", placesScript, "ipublish"}, names...), nil)
	if err != nil {
		return places{}, err
	}
	k := places{Names: map[string][]netip.Addr{}}
	for line := range strings.Lines(string(out)) {
		k.learn(strings.Fields(line))
	}
	return k, nil
}

func (k *places) learn(words []string) {
	switch {
	case len(words) == 2 && words[0] == "own6":
		raw, err := hex.DecodeString(words[1])
		if ip, ok := netip.AddrFromSlice(raw); err == nil && ok {
			k.Own = append(k.Own, ip)
		}
	case len(words) == 2 && words[0] == "own":
		if ip, err := netip.ParseAddr(words[1]); err == nil {
			k.Own = append(k.Own, ip)
		}
	case len(words) == 3 && words[0] == "name":
		if ip, err := netip.ParseAddr(words[2]); err == nil {
			name := strings.ToLower(words[1])
			k.Names[name] = append(k.Names[name], ip.Unmap())
		}
	}
}

// same reports whether two addresses, host:port, lead to the same listener.
func (k places) same(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB {
		return false
	}
	return strings.EqualFold(hostA, hostB) || k.here(hostA) && k.here(hostB) ||
		slices.ContainsFunc(k.ips(hostA), func(ip netip.Addr) bool { return slices.Contains(k.ips(hostB), ip) })
}

// here reports whether a host is nginx's own machine.
func (k places) here(host string) bool {
	return strings.EqualFold(host, "localhost") || slices.ContainsFunc(k.ips(host), func(ip netip.Addr) bool {
		return ip.IsLoopback() || ip.IsUnspecified() || slices.Contains(k.Own, ip)
	})
}

func (k places) ips(host string) []netip.Addr {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{ip.Unmap()}
	}
	return k.Names[strings.ToLower(host)]
}

// hostNames gives the names among addresses host:port that a resolver knows more about.
func hostNames(addrs []string) []string {
	var names []string
	for _, a := range addrs {
		host, _, err := net.SplitHostPort(a)
		_, notIP := netip.ParseAddr(host)
		if err == nil && notIP != nil && hostNameForm.MatchString(host) {
			names = append(names, strings.ToLower(host))
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
