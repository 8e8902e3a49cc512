#!/bin/bash
# Tests the Debian package that `make deb` has made: lintian finds no error, and it is installed in
# place of C spiped, upgraded, removed and purged.  All that happens in a Debian of its own below
# target/, which mmdebstrap makes; the host is left alone.
#
#   tests/package/debian.sh PACKAGE UPGRADE     two packages, the second of a later version
#
# Needs root, Debian, lintian and mmdebstrap; says loudly what is missing, and fails then if CI=true.
set -euo pipefail

package=$(realpath "$1")
upgrade=$(realpath "$2")
cd "$(dirname "$0")/../.."
root="$PWD/target/package-test"
PATH="$PATH:/usr/sbin:/sbin"

missing() {
    echo "*** SKIPPED: the test of the Debian package: $1 ***" >&2
    [ "${CI:-}" != true ] || exit 1
    exit 0
}
[ "$(id -u)" = 0 ] || missing "it needs root, for chroot"
command -v lintian >/dev/null || missing "lintian is not installed"
command -v mmdebstrap >/dev/null || missing "mmdebstrap is not installed"

fail() {
    echo "*** $1" >&2
    exit 1
}
inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive "$@"
}
apt() {
    inside apt-get -qq -y -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0 --no-install-recommends "$@"
}
# What the package has to bring, and to take away again.
files="usr/bin/spiped usr/bin/spipe usr/bin/spiped-keygen
    usr/share/man/man1/spiped.1.gz usr/share/man/man1/spipe.1.gz
    usr/share/man/man1/spiped-keygen.1.gz
    usr/lib/systemd/system/spiped@.service usr/lib/systemd/system/spiped@.socket
    usr/share/bash-completion/completions/spiped usr/share/bash-completion/completions/spipe
    usr/share/zsh/vendor-completions/_spiped usr/share/fish/vendor_completions.d/spiped.fish
    usr/share/doc/spiped-rs/copyright"

echo "== lintian"
lintian --fail-on error "$package"
for field in Conflicts Provides Replaces; do
    [ "$(dpkg-deb -f "$package" $field)" = spiped ] || fail "$field does not name spiped"
done

echo "== a Debian of its own"
rm -rf "$root"
trap 'rm -rf "$root"' EXIT
suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
# A root to unpack into and run programs in, not a system that starts: nothing is mounted.
mmdebstrap --quiet --mode=root --skip=chroot/mount,cleanup/apt/lists --variant=minbase \
    --include=spiped "$suite" "$root"
cp "$package" "$root/first.deb"
cp "$upgrade" "$root/second.deb"
inside spiped -v 2>&1 | grep -q '^spiped 1\.6' || fail "there is no C spiped to be replaced"

echo "== install, in place of C spiped"
apt install /first.deb
! inside dpkg -s spiped >/dev/null 2>&1 || fail "C spiped is still there"
for file in $files; do
    # The documents of minimal systems are left out when packages are unpacked.
    [ -e "$root/$file" ] || grep -qs "path-exclude" "$root"/etc/dpkg/dpkg.cfg.d/* ||
        fail "/$file is not there"
done
grep -q '^ExecStart=/usr/bin/spiped ' "$root/usr/lib/systemd/system/spiped@.service" ||
    fail "the unit starts something else"
[ "$(inside stat -c '%a %U' /etc/spiped)" = "755 root" ] || fail "/etc/spiped is not as it should be"

echo "== it works"
inside spiped-keygen /etc/spiped/test.key >/dev/null
# A port that the system chooses: the daemon says which.
chroot "$root" /usr/bin/spiped -d -F -s 127.0.0.1:0 -t 127.0.0.1:1 -k /etc/spiped/test.key \
    2>"$root/log" &
daemon=$!
trap 'kill $daemon 2>/dev/null || true; rm -rf "$root"' EXIT
for _ in $(seq 300); do
    grep -q ' connections to ' "$root/log" && break
    sleep 0.1
done
port=$(sed -n 's/.*listening on 127.0.0.1:\([0-9]*\)$/\1/p' "$root/log")
inside spipe --check -t "127.0.0.1:$port" -k /etc/spiped/test.key || {
    cat "$root/log"
    fail "the installed programs do not reach each other"
}

echo "== upgrade, under a running daemon"
echo 'SPIPED_ARGS=-d' >"$root/etc/spiped/test.conf"
apt install /second.deb
[ "$(inside dpkg-query -W -f '${Version}' spiped-rs)" = "$(dpkg-deb -f "$upgrade" Version)" ] ||
    fail "it was not upgraded"
inside spipe --check -t "127.0.0.1:$port" -k /etc/spiped/test.key || fail "the daemon is gone"
kill $daemon
wait $daemon || fail "the daemon ended with an error"

echo "== remove, and purge"
apt remove spiped-rs
for file in $files; do
    [ ! -e "$root/$file" ] || fail "/$file is left behind"
done
[ -e "$root/etc/spiped/test.key" ] && [ -e "$root/etc/spiped/test.conf" ] ||
    fail "keys and options went with the package"
apt install /first.deb
apt purge spiped-rs
[ -e "$root/etc/spiped/test.key" ] || fail "a key went with the package"
apt install /first.deb
rm "$root"/etc/spiped/*
apt purge spiped-rs
[ ! -e "$root/etc/spiped" ] || fail "the empty directory is left behind"

echo "the package is good"
