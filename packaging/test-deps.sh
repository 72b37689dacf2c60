#!/usr/bin/env bash
# Installs what the tests run against: a real nginx, HAProxy, sshd, systemd, Tomcat and git, and a
# C compiler for the race detector. Debian and Ubuntu. Does nothing where all of
# it is there.
#
#   test-deps.sh           install what is missing; needs root
#   test-deps.sh --check   say what is missing; exit 1 if anything is
set -euo pipefail

packages=()
need() { packages+=("$1"); }

program() { PATH="$PATH:/usr/sbin:/sbin" command -v "$1" >/dev/null; }

program nginx || need nginx-light
program haproxy || need haproxy
program sshd || need openssh-server
program ip || need iproute2
program curl || need curl
program ssh || need openssh-client
program nsenter || need util-linux
[ -x /lib/systemd/systemd ] || need systemd
program git || need git
program cc || need gcc
[ -e /usr/include/stdlib.h ] || need libc6-dev
[ -d /usr/share/tomcat10 ] || need tomcat10
program java || need default-jre-headless

if [ ${#packages[@]} -eq 0 ]; then
	exit 0
fi
echo "missing: ${packages[*]}" >&2
if [ "${1:-}" = --check ]; then
	exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
	echo "run this as root to install them: sudo $0" >&2
	exit 1
fi
if ! program apt-get; then
	echo "there is no apt-get here: install them by the means of this system" >&2
	exit 1
fi
export DEBIAN_FRONTEND=noninteractive
export RUNLEVEL=1 # the tests start their own; the packages need not
apt-get update
apt-get install --yes --no-install-recommends "${packages[@]}"
