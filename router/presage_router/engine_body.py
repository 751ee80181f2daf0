"""What the guard adds to a body before its engine gets it: usage in every chunk, and a priority.

The client's bytes stay as they are wherever possible: new keys are spliced in front of its own.
"""

import json
from typing import Any

from presage_router.asked import Asked, read_body

_USAGE = {"include_usage": True, "continuous_usage_stats": True}


def engine_body(body: bytes, asked: Asked, priority: int | None) -> bytes:
    """Return the body for the engine. `priority`: lower runs first; None where the engine takes none."""
    added: dict[str, Any] = {}
    if asked.stream:
        added["stream_options"] = _USAGE
    if priority is not None and not asked.has_priority:
        added["priority"] = priority
    if not added:
        return body
    if asked.stream and asked.has_stream_options:
        return _merged(body, added)
    return json.dumps(added, separators=(",", ":")).encode()[:-1] + b"," + body.lstrip()[1:]


def _merged(body: bytes, added: dict[str, Any]) -> bytes:
    document = read_body(body)
    options = document.get("stream_options")
    if isinstance(options, dict):
        added = added | {"stream_options": options | _USAGE}
    return json.dumps(document | added, separators=(",", ":"), ensure_ascii=False).encode()
