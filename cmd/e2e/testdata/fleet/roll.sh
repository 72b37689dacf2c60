#!/bin/bash
# Releases a folder to hosts, one after another, by the script on each of them.
#   roll.sh FOLDER APP_HOME IDENTITY KNOWN_HOSTS HOST...
set -euo pipefail
folder=$1 home=$2 identity=$3 known=$4
shift 4
for host in "$@"; do
    echo "== $host"
    tar -C "$folder" -cf - . | ssh -F none -i "$identity" -o UserKnownHostsFile="$known" -o BatchMode=yes "root@$host" \
        "mkdir -p $home/release && tar -C $home/release -xf - && $home/bin/appctl.sh restart"
done
