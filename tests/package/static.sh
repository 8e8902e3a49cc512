#!/bin/bash
# Tests the programs that `make static` has made: they need no library, and they work in a root in
# which there is nothing but a name in /etc/hosts.
#
#   tests/package/static.sh DIRECTORY     where spiped, spipe and spiped-keygen are
#
# Needs root, for chroot; says so loudly, and fails then if CI=true.
set -euo pipefail

programs=$(realpath "$1")
if [ "$(id -u)" != 0 ]; then
    echo "*** SKIPPED: the test of static programs needs root, for chroot ***" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
fi

fail() {
    echo "*** $1" >&2
    exit 1
}
command -v readelf >/dev/null || fail "readelf is not installed: apt-get install binutils"
root=$(mktemp -d)
daemon=
trap '[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true; rm -rf "$root"' EXIT
for program in spiped spipe spiped-keygen; do
    # Into a variable first: in a condition nobody would notice that readelf has failed.
    parts=$(readelf -ldW "$programs/$program")
    case $parts in
        *INTERP*) fail "$program wants a dynamic linker" ;;
        *NEEDED*) fail "$program wants libraries" ;;
        *LOAD*) ;;
        *) fail "readelf says nothing of $program" ;;
    esac
    cp "$programs/$program" "$root/"
done
mkdir "$root/etc"
echo "127.0.0.1 far.example" >"$root/etc/hosts"

chroot "$root" /spiped-keygen /key >/dev/null
chroot "$root" /spiped -d -F -s far.example:0 -t far.example:1 -k /key 2>"$root/log" &
daemon=$!
for _ in $(seq 300); do
    grep -q ' connections to ' "$root/log" && break
    sleep 0.1
done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$root/log")
chroot "$root" /spipe --check -t "far.example:$port" -k /key || {
    cat "$root/log"
    fail "static programs do not reach each other by name"
}
kill "$daemon"
wait "$daemon" || fail "the daemon ended with an error"
echo "the static programs are good"
