// Package unit is what the runtimes know of systemd: the names and texts of the
// units that ipublish writes for slots, and shell functions that speak to a
// host's systemctl.
//
// The one idea: systemd is asked, never assumed. Which manager may be used, what
// state a unit is in and which process is its main one is told by systemctl show
// at the moment it matters; an exit status proves nothing.
//
// Guarantees:
//
//   - Two slots never have a unit of the same name, and a name holds nothing that
//     systemctl, a path or a shell could read as something else.
//   - A folder's name in a unit's text is that folder, whatever it holds.
package unit
