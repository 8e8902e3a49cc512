#!/bin/sh
# Prints the path of a C spiped for the interop tests: the one unpacked before below
# target/c-spiped, else Debian's package, fetched and unpacked there, never installed.
# Without apt: says so on stderr and exits 0 with nothing on stdout.
set -eu

cd "$(dirname "$0")/.."
place="$PWD/target/c-spiped"
program="$place/usr/bin/spiped"

if [ -x "$program" ]; then
	echo "$program"
	exit 0
fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
	echo "*** No C spiped for the interop tests: apt-get and dpkg-deb are not there." >&2
	echo "*** Install spiped 1.6 by hand, or set SPIPED_C to the path of its program." >&2
	exit 0
fi

# Several tests may run this at once: each works in a place of its own, and the first to
# finish puts its result in place.
mkdir -p "$place"
work=$(mktemp -d "$place/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
if ! (cd "$work" && apt-get -q -o APT::Sandbox::User=root download spiped >&2); then
	echo "*** No C spiped for the interop tests: 'apt-get download spiped' failed." >&2
	echo "*** If the package lists are missing, 'apt-get update' gets them." >&2
	exit 0
fi
dpkg-deb -x "$work"/spiped_*.deb "$work/root"
mv -T "$work/root/usr" "$place/usr" 2>/dev/null || [ -x "$program" ]
echo "$program"
