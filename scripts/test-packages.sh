#!/bin/sh
# Debian packages that tests and benchmarks use: installs what is missing as root, names it otherwise. Tests that need
# an absent one skip and say so; nothing here fails a build.
set -u
want='tinydns bind9-dnsutils iproute2 openssl netcat-openbsd busybox acl attr strace groff-base mandoc
      systemd-container g++ libsystemd-dev binutils nftables conntrack graphite-carbon python3-whisper prometheus'
[ "${1:-}" = bench ] && want="$want bind9 knot knot-dnsutils ulogd2"
missing=
for entry in $want; do
    package=$entry
    dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "not installed, tests that need them will be skipped:$missing"
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
# Policy: a test machine's services stay off.
apt-get update -qq || echo 'apt-get update failed; trying with what is known'
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null || echo "could not install:$missing"
