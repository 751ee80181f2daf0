#!/usr/bin/env bash
# Makes .venv from the lock file. uv is taken from PATH, or installed once into the user's cache.
set -euo pipefail
cd "$(dirname "$0")/.."
UV_VERSION=0.13.9
cache="${XDG_CACHE_HOME:-$HOME/.cache}/presage/uv"
uv="${UV:-$(command -v uv || echo "$cache/bin/uv")}"

if ! "$uv" --version >/dev/null 2>&1; then
    echo "── installing uv $UV_VERSION into $cache"
    if ! python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        echo "Presage needs Python 3.11 or newer; python3 is $(python3 --version 2>&1)." >&2
        exit 1
    fi
    if ! python3 -m venv "$cache" 2>/dev/null; then
        if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
            apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq python3-venv >/dev/null
            python3 -m venv --clear "$cache"
        else
            echo "python3 cannot make virtual environments: install python3-venv (apt-get install python3-venv)." >&2
            exit 1
        fi
    fi
    "$cache/bin/pip" install --quiet --disable-pip-version-check "uv==$UV_VERSION"
fi
[ -d .venv ] || echo "── installing the locked Python environment into .venv"
"$uv" sync --frozen --quiet --all-extras --no-extra train --group dev --inexact
