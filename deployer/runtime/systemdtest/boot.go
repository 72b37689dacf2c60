package systemdtest

// enter runs as pid 1 of the new namespaces: it joins a cgroup of its own, which
// becomes the root of what the machine sees, and becomes dress.
const enter = `
set -e
root=$1 cgroup=$2
mount -n --make-rprivate /
mount -n -t cgroup2 cgroup2 "$root/empty"
mkdir "$root/empty/$cgroup"
echo 0 >"$root/empty/$cgroup/cgroup.procs"
umount -n "$root/empty"
exec unshare --cgroup sh -c "$3" sh "$root"
`

// dress makes the machine's view of the files, and becomes systemd.
const dress = `
set -e
root=$1
mount -n -t proc proc /proc
mount -n --bind "$root" "$root"
mount -n -t tmpfs -o mode=755 tmpfs "$root/dev"
for node in null zero full random urandom tty; do
	: >"$root/dev/$node"
	mount -n --bind "/dev/$node" "$root/dev/$node"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -n -t devpts -o newinstance,ptmxmode=666 devpts "$root/dev/pts"
mount -n -t tmpfs tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"

cut -d ' ' -f 5 /proc/self/mountinfo | while read -r at; do
	case $at in "$root" | "$root"/* | /proc) ;; *) mount -n -o remount,bind,ro "$at" 2>/dev/null || : ;; esac
done
mount -n --bind /proc/sys /proc/sys
mount -n -o remount,bind,ro /proc/sys
mount -n --move "$root/dev" /dev
mount -n -t cgroup2 cgroup2 /sys/fs/cgroup
mount -n -t tmpfs -o mode=755 tmpfs /run
mount -n -t tmpfs -o mode=755 tmpfs /var/lib/systemd
mount -n --bind "$root/etc" /etc/systemd
mount -n --bind "$root/units" /usr/lib/systemd/system
for hidden in systemd/system-generators systemd/system-environment-generators systemd/system-shutdown \
	systemd/user-generators systemd/user-environment-generators systemd/user tmpfiles.d sysctl.d modules-load.d sysusers.d; do
	[ ! -d "/usr/lib/$hidden" ] || mount -n --bind "$root/empty" "/usr/lib/$hidden"
done
exec env -i container=ipublish PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=multi-user.target --log-target=journal --show-status=no
`

// furniture are the files that a fresh machine has, below Machine.Dir.
func furniture() map[string]string {
	files := map[string]string{
		"etc/journald.conf": "[Journal]\nStorage=volatile\nReadKMsg=no\nAudit=no\nForwardToConsole=no\nForwardToWall=no\nForwardToKMsg=no\nForwardToSyslog=no\n",
		"units/systemd-journald.service": "[Unit]\nDefaultDependencies=no\n" +
			"[Service]\nType=notify\nExecStart=/lib/systemd/systemd-journald\nStandardOutput=null\n",
		"units/sysinit.target":    "[Unit]\nDefaultDependencies=no\nWants=systemd-journald.service\nAfter=systemd-journald.service\n",
		"units/basic.target":      "[Unit]\nDefaultDependencies=no\nRequires=sysinit.target\nAfter=sysinit.target\n",
		"units/multi-user.target": "[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\nRequires=basic.target\nAfter=basic.target\n",
	}
	for _, name := range []string{"network", "network-online", "shutdown"} {
		files["units/"+name+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	for _, name := range []string{"default", "basic", "shutdown"} {
		files["etc/user/"+name+".target"] = "[Unit]\nDefaultDependencies=no\n"
	}
	return files
}

// sweep removes the machine's cgroup, once what is dying in it is dead.
const sweep = `
root=$1 cgroup=$2
mount -n --make-rprivate /
mount -n -t cgroup2 cgroup2 "$root/empty" || exit 1
cd "$root/empty" || exit 1
tries=0
while [ -d "$cgroup" ]; do
	find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null && break
	tries=$((tries + 1))
	[ "$tries" -lt 250 ] || exit 1
	sleep 0.02
done
`
