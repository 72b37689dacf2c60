// Package systemd is the runtime whose process is a unit of the user's own.
//
// The one idea: the unit reads what is to run from the slot's folder, and only
// ipublish writes there. What the folder says is changed while the unit is
// inactive and never else, so that whatever systemd starts afterwards, also by
// itself or after a reboot, is the recorded release.
//
// The section: {"unit": "shop@{slot}.service", "user": false}. {slot} and {port}
// are replaced. With user: true the unit is one of the deploy user's own systemd
// (systemctl --user), which has to linger. The unit finds in the slot's folder
// (release_dir/APP/ENV/SLOT):
//
//	env      what the app gets, with PORT, RELEASE, SLOT and DIR, mode 0600: for EnvironmentFile=
//	current  a link to the release's folder: for WorkingDirectory= and ExecStart=
//
// A template for two slots, /etc/systemd/system/shop@.service:
//
//	[Unit]
//	After=network-online.target
//	Wants=network-online.target
//
//	[Service]
//	User=shop
//	EnvironmentFile=/var/lib/ipublish-releases/shop/production/%i/env
//	WorkingDirectory=/var/lib/ipublish-releases/shop/production/%i/current
//	ExecStart=/var/lib/ipublish-releases/shop/production/%i/current/server --port ${PORT}
//	Restart=on-failure
//	TimeoutStopSec=60
//
//	[Install]
//	WantedBy=multi-user.target
//
// Guarantees:
//
//   - The unit's files are the user's: none is written. Enabled is exactly the
//     live slot's, from the commit point on.
//   - The pid observed is the unit's main process as it is now. A unit that
//     systemd started again has another one, of the same release as long as the
//     folder still leads to it.
//   - Of two slots, a unit that runs what ipublish did not start is a stranger's:
//     it is named and left alone. In a rolling environment the unit is the
//     application whoever started it, and the first deploy replaces what it runs.
//   - SIGKILL comes after the unit's own TimeoutStopSec or the step's stop time,
//     whichever is shorter. Stopped is the unit inactive and its processes gone.
//
// The host needs systemd, and what package process needs. Whoever the host's
// commands run as has to be allowed to start, stop and enable the unit.
package systemd
