// Package statusfile drives any balancer that checks its hosts by HTTP, through
// the file that each host's web server answers that check from: without the
// file the check fails and the balancer takes the host out, with it the
// balancer takes the host back.
//
// The one idea: nothing is believed that was not asked for. After a change the
// URL itself is asked, from the host, until it answers as the change wants it:
// that a file is gone proves nothing while the web server answers from a cache.
// What the balancer does with that answer is either computed, as Traffic.Settle,
// from its own check_interval × threshold and never shorter, or, with the key
// observe, asked of the balancer.
//
// Guarantees: a change is one rename on the host, so that a crash leaves the
// state before or the one after, and repeating converges. The file leaves by
// being renamed to PATH.ipublish and comes back from there, with the content,
// owner and mode that it had; content is written only where nothing was kept.
// When both exist the one at PATH is newer, made by hand meanwhile: it wins. A
// link or a folder in the place of the file is refused and left alone. When
// the web server does not follow a change within check_timeout, the file is put
// back as it was and the error says what to mend, or it is deploy.CodeHold.
//
// The settings: path and url, both required, in which {host}, {address} and
// {port} stand for the target's name and where the balancer dials it; content
// ("ok\n"); expect_status ([200]), which lists every status that the balancer
// takes for healthy; and what the balancer checks with: check_interval,
// check_timeout, healthy_threshold and unhealthy_threshold. These have no
// defaults, because a guess that is too short cuts users off; margin, which is
// added to the wait, is one check_interval unless given. With observe the
// balancer is asked and they may be left out:
// observe: { haproxy: { host, socket or sockets, backend } }. There the host's
// label haproxy, BACKEND/SERVER or SERVER, names the server; without it, its address.
package statusfile
