#!/bin/sh
# operator/ holds a package but must never be one: an __init__.py directly in it would hide the
# standard library's `operator`, and no Python program started here would run. Hence a shell guard.
cd "$(dirname "$0")/.." || exit 1
if [ -e operator/__init__.py ]; then
    echo "operator/__init__.py hides the standard library's module 'operator': remove it." >&2
    exit 1
fi
