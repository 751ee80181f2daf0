"""Header names, and which headers travel on from one hop to the next.

Headers that the sidecar does not know travel untouched and unread: clients and engines may have
agreements of their own.
"""

import secrets
from collections.abc import Iterable

from multidict import CIMultiDict, CIMultiDictProxy

REQUEST_ID = "x-request-id"
CLIENT = "x-presage-client"
SESSION = "x-presage-session"
EXPLAIN = "x-presage-explain"
EXPLANATION = "x-presage-explanation"
REASON = "x-presage-reason"

# Between sidecars only.
PEER_REQUEST_ID = "x-presage-request-id"
LENGTH = "x-presage-length"
PROMPT_TOKENS = "x-presage-prompt-tokens"
PREFIX = "x-presage-prefix"
RESERVATION = "x-presage-reservation"
WAITED = "x-presage-waited"
OUTPUT_TOKENS = "x-presage-output-tokens"

_INTERNAL = (PEER_REQUEST_ID, LENGTH, PROMPT_TOKENS, PREFIX, RESERVATION, WAITED, OUTPUT_TOKENS)
_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "host",
        "content-length",
        "expect",
        "accept-encoding",  # the guard reads the answer: it must not be compressed
    }
)
_UNDONE = frozenset({"content-encoding"})  # the listener has decoded the body
_FROM_CLIENT_ONLY = frozenset({*_INTERNAL, EXPLAIN})
_FROM_ENGINE_DROPPED = frozenset({*_INTERNAL, REASON, EXPLANATION, REQUEST_ID, "date", "server"})
_TO_ENGINE_DROPPED = _HOP_BY_HOP | _FROM_CLIENT_ONLY
_ONWARD_DROPPED = _TO_ENGINE_DROPPED | _UNDONE
_BACK_DROPPED = {
    False: _HOP_BY_HOP | _FROM_ENGINE_DROPPED,
    True: _HOP_BY_HOP | frozenset({"date", "server"}),  # trusted: from another sidecar
}
_MAX_REQUEST_ID = 128

Headers = CIMultiDict[str]


def onward(received: CIMultiDictProxy[str]) -> Headers:
    """Return the client's headers as they travel on: all but hop-by-hop ones and those of our own wire."""
    named = _named_by_connection(received) if "connection" in received else None
    dropped = _ONWARD_DROPPED | named if named else _ONWARD_DROPPED
    return CIMultiDict((k, v) for k, v in received.items() if k.lower() not in dropped)


def to_engine(received: Iterable[tuple[str, str]]) -> Headers:
    """Return the headers that the engine gets from what a front sent: ours are taken out."""
    result = CIMultiDict((k, v) for k, v in received if k.lower() not in _TO_ENGINE_DROPPED)
    result["Accept-Encoding"] = "identity"
    return result


def from_upstream(received: Iterable[tuple[str, str]], *, trusted: bool) -> Headers:
    """Return the answer's headers as they travel back; from an engine (not trusted) none of ours pass."""
    dropped = _BACK_DROPPED[trusted]
    return CIMultiDict((k, v) for k, v in received if k.lower() not in dropped)


def to_client(received: Headers) -> Headers:
    """Return the answer's headers without those that are only for sidecars."""
    return CIMultiDict((k, v) for k, v in received.items() if k.lower() not in _INTERNAL)


def request_id(received: CIMultiDictProxy[str]) -> str:
    """Return the client's request id when it is printable and short, else a new one."""
    given = received.get(REQUEST_ID, "")
    if 0 < len(given) <= _MAX_REQUEST_ID and given.isascii() and given.isprintable():
        return given
    return secrets.token_hex(16)


def _named_by_connection(received: CIMultiDictProxy[str]) -> frozenset[str]:
    return frozenset(
        name.strip().lower() for value in received.getall("connection", ()) for name in value.split(",")
    )
