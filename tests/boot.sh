# A real systemd in a container, for the scripts that source this: tests/systemd-boot and
# tests/package/debian.sh.  Needs root, mmdebstrap and systemd-nspawn; some minutes the first time,
# seconds afterwards, since the system that is booted is kept below target/.
# shellcheck shell=bash

# boot_root ROOT: a system of its own, in which nothing has run yet.
boot_root() {
    local base="$PWD/target/systemd-boot"
    if [ ! -e "$base/etc/os-release" ]; then
        echo "-- a system with systemd"
        mkdir -p "$PWD/target"
        rm -rf "$base" "$base.new"
        mmdebstrap --quiet --variant=minbase --include=systemd,systemd-sysv,dbus \
            "$(. /etc/os-release; echo "$VERSION_CODENAME")" "$base.new"
        mv "$base.new" "$base"
    fi
    cp -a "$base" "$1"
    cat >"$1/etc/systemd/system/probe.service" <<'EOF'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/bash /probe
ExecStopPost=/usr/bin/systemctl poweroff --no-block
StandardOutput=file:/probe.log
StandardError=inherit
TimeoutStartSec=60
EOF
    install -d "$1/etc/systemd/system/multi-user.target.wants"
    ln -s ../probe.service "$1/etc/systemd/system/multi-user.target.wants/"
}

# boot ROOT: runs its /probe under systemd and shows what that says; false unless it ends with "all
# is well".
boot() {
    # nspawn's own filter knows neither Landlock nor locked memory; a machine has both.
    timeout 180 systemd-nspawn --quiet -D "$1" --boot --private-network --keep-unit --register=no \
        --system-call-filter="@memlock landlock_create_ruleset landlock_add_rule landlock_restrict_self" \
        >"$1.log" 2>&1 </dev/null || { cat "$1.log"; return 1; }
    cat "$1/probe.log"
    [ "$(tail -n 1 "$1/probe.log")" = "all is well" ]
}
