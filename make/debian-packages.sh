#!/usr/bin/env bash
# Installs the Debian packages that a part of the project needs, when they are missing.
# Usage: debian-packages.sh node|browser
set -euo pipefail
case "${1:-}" in
    # mount and util-linux are on every machine, but not in every container.
    node) wanted=(containerd runc containernetworking-plugins iptables nftables iproute2 kmod mmdebstrap mount util-linux) ;;
    browser) wanted=(chromium) ;;
    *) echo "usage: $0 node|browser" >&2; exit 2 ;;
esac
command -v dpkg-query >/dev/null || { echo "no Debian here: install these yourself where missing: ${wanted[*]}"; exit 0; }

missing=()
for package in "${wanted[@]}"; do
    state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "missing Debian packages; run: sudo apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
echo "── installing Debian packages: ${missing[*]}"
# A package must not start a service of its own: the sandbox starts its containerd itself.
if [ ! -e /usr/sbin/policy-rc.d ]; then
    printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
    chmod +x /usr/sbin/policy-rc.d
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
fi
log=$(mktemp)
(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}") >"$log" 2>&1 \
    || { tail -n 20 "$log" >&2; exit 1; }
