"""Checks addresses where they enter, so that a typing error is named and not found out by time-outs."""

from typing import Any
from urllib.parse import urlsplit

from presage_router.config import ConfigError

_LAST_PORT = 65535


def check_address(value: Any, field: str) -> str:
    """Return `host:port` as given. Raises ConfigError naming field, value and fix."""
    split_address(value, field)
    return str(value)


def split_address(value: Any, field: str) -> tuple[str, int]:
    """Return (host, port) of `host:port` (IPv6 hosts in brackets). Raises ConfigError."""
    host, separator, port = value.rpartition(":") if isinstance(value, str) else ("", "", "")
    if (
        not separator
        or not host
        or not port.isascii()
        or not port.isdigit()
        or not 0 <= int(port) <= _LAST_PORT
    ):
        raise ConfigError(f"{field} is {value!r}: give HOST:PORT with a port from 0 to {_LAST_PORT}")
    if ":" in host and not (host.startswith("[") and host.endswith("]")):
        raise ConfigError(f"{field} is {value!r}: write an IPv6 host in brackets, like [::1]:8100")
    return host.strip("[]"), int(port)


def join_address(host: str, port: int) -> str:
    """Return `host:port`, an IPv6 host in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def check_url(value: str, field: str) -> str:
    """Return an HTTP base URL without a trailing slash. Raises ConfigError."""
    try:
        parts = urlsplit(value)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable:
        raise ConfigError(f"{field} is {value!r}: give a URL like http://127.0.0.1:8200")
    return value.rstrip("/")
