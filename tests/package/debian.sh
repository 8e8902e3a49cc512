#!/bin/bash
# Tests the Debian package that `make deb` has made: lintian finds no error, and it is installed in
# place of C spiped, upgraded, removed and purged; then again under a running systemd, with units that
# are enabled.  All that happens in Debians of their own below target/, which mmdebstrap makes; the
# host is left alone.
#
#   tests/package/debian.sh PACKAGE UPGRADE     two packages, the second of a later version
#
# Needs root, Debian, lintian, mmdebstrap and systemd-nspawn; says loudly what is missing, and fails
# then if CI=true.
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
command -v systemd-nspawn >/dev/null || missing "systemd-nspawn is not installed"

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
    usr/share/doc/spiped-rs/copyright usr/share/doc/spiped-rs/README.md
    usr/share/doc/spiped-rs/DESIGN.md usr/share/doc/spiped-rs/CHANGELOG.md"
for program in spiped spipe spiped-keygen; do
    files="$files usr/share/bash-completion/completions/$program
        usr/share/zsh/vendor-completions/_$program
        usr/share/fish/vendor_completions.d/$program.fish"
done

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
    [ -e "$root/$file" ] || case "$file" in
        # The documents of minimal systems are left out when packages are unpacked.
        usr/share/doc/*|usr/share/man/*)
            grep -qs "path-exclude" "$root"/etc/dpkg/dpkg.cfg.d/* || fail "/$file is not there";;
        *) fail "/$file is not there";;
    esac
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

echo "== under systemd"
. tests/boot.sh
booted="$PWD/target/package-test-booted"
trap 'rm -rf "$root" "$booted" "$booted.log"' EXIT
rm -rf "$booted"
boot_root "$booted"
cp "$package" "$booted/first.deb"
cp "$upgrade" "$booted/second.deb"
cat >"$booted/probe" <<'EOF'
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
is() { [ "$2" = "$3" ] || { echo "*** $1: \"$2\", expected \"$3\""; exit 1; }; }
show() { systemctl show -P "$1" "spiped@$2"; }
states() { for unit in tcp.service sock.socket sock.service; do show ActiveState $unit; done | xargs; }
quietly() { "$@" >/dpkg.log 2>&1 || { cat /dpkg.log; exit 1; }; }
links() { find /etc/systemd/system/*.wants /etc/systemd/system/*.requires -name "$1" 2>/dev/null |
    wc -l; }

quietly dpkg -i /first.deb
for name in tcp sock; do spiped-keygen /etc/spiped/$name.key >/dev/null; done
echo 'SPIPED_ARGS=-d -s 127.0.0.1:8025 -t [127.0.0.1]:25' >/etc/spiped/tcp.conf
echo 'SPIPED_ARGS=-d -s systemd:spiped -t [127.0.0.1]:25' >/etc/spiped/sock.conf
quietly systemctl enable --now spiped@tcp.service spiped@sock.socket
quietly systemctl start spiped@sock.service
is "the units" "$(states)" "active active active"
daemon="$(show MainPID tcp)"

echo "-- a new version stops nothing, and its units are known"
quietly dpkg -i /second.deb
is "the units" "$(states)" "active active active"
is "the daemon" "$(show MainPID tcp)" "$daemon"
is "systemd is to read units again" "$(show NeedDaemonReload tcp)" no
quietly systemctl restart spiped@tcp

echo "-- without its programs nothing goes on; what is enabled is remembered"
quietly dpkg --remove spiped-rs
is "the units" "$(states)" "inactive inactive inactive"
! grep -lx spiped /proc/[0-9]*/comm || { echo "*** a daemon goes on"; exit 1; }
is "links" "$(links 'spiped@*')" 2
quietly dpkg -i /first.deb
is "tcp is" "$(systemctl is-enabled spiped@tcp.service)" enabled
quietly systemctl start spiped@tcp

echo "-- a removal that is called off leaves running what ran"
quietly systemctl restart spiped@sock.socket
quietly systemctl start spiped@sock.service
cp -a /etc/spiped/tcp.key /etc/spiped/loose.key
sed s/8025/8026/ /etc/spiped/tcp.conf >/etc/spiped/loose.conf
quietly systemctl start spiped@loose.service
mkdir -p /other/DEBIAN
printf '%s\n' 'Package: other' 'Version: 1' 'Architecture: all' 'Description: takes its place' \
    'Maintainer: nobody <nobody@localhost>' 'Conflicts: spiped-rs' 'Replaces: spiped-rs' \
    'Provides: spiped-rs' >/other/DEBIAN/control
printf '#!/bin/sh\necho "it was $(systemctl is-active spiped@tcp)"\nexit 1\n' >/other/DEBIAN/preinst
chmod 0755 /other/DEBIAN/preinst
quietly dpkg-deb --build /other /other.deb
! dpkg -i /other.deb >/dpkg.log 2>&1 || { echo "*** the other package is installed"; exit 1; }
grep -q '^it was inactive' /dpkg.log || { cat /dpkg.log; echo "*** prerm was not asked"; exit 1; }
# The service of the socket is started by its next client: it is not enabled itself.
is "the units" "$(states)" "active active inactive"
is "what is named" "$(grep -o 'spiped@.* stays stopped' /dpkg.log)" \
    "spiped@loose.service stays stopped"
is "what is remembered" "$(ls /run/spiped-rs.stopped 2>/dev/null)" ""

echo "-- an administrator who forbids to stop services is heeded"
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod +x /usr/sbin/policy-rc.d
quietly dpkg --remove spiped-rs
is "tcp is" "$(show ActiveState tcp)" active
rm /usr/sbin/policy-rc.d
quietly dpkg -i /first.deb

echo "-- purged, nothing is enabled, but for units from elsewhere"
install -d /usr/local/lib/systemd/system /etc/systemd/system/x.target.requires
cp /usr/lib/systemd/system/spiped@.service /usr/local/lib/systemd/system/
ln -s /usr/local/lib/systemd/system/spiped@.service \
    /etc/systemd/system/multi-user.target.wants/spiped@own.service
ln -s /usr/lib/systemd/system/spiped@.service /etc/systemd/system/x.target.requires/spiped@r.service
is "links" "$(links 'spiped@*')" 4
quietly dpkg --purge spiped-rs
is "the unit" "$(show ActiveState tcp.service)" inactive
is "links" "$(links 'spiped@*')" 1
is "links of units from elsewhere" "$(links 'spiped@own.service')" 1
is "keys and options" "$(ls /etc/spiped | wc -l)" 6
echo "all is well"
EOF
boot "$booted"

echo "the package is good"
