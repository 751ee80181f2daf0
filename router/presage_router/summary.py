"""The guard's last word on a stream: how many tokens it had.

The front learns from the true length, but should not parse a stream that its peer has parsed already. So
the guard ends each stream to another sidecar with a comment line, which the front takes out. The
marker cannot come from a model: inside a JSON string its quote would be escaped.
"""

import json
from dataclasses import dataclass

_MARKER = b': presage-summary {"output_tokens":'
_PREFIX = b": presage-summary "


@dataclass(frozen=True, slots=True)
class Summary:
    """What a finished answer amounted to, in tokens; `prompt_tokens` is None when the engine told none."""

    output_tokens: int
    prompt_tokens: int | None

    def as_comment(self) -> bytes:
        """Return the comment event that closes a stream between sidecars."""
        fields = {"output_tokens": self.output_tokens, "prompt_tokens": self.prompt_tokens}
        return _PREFIX + json.dumps(fields, separators=(",", ":")).encode() + b"\n\n"


class SummaryFilter:
    """Passes a stream on as it comes, but for the closing summary; any chunking gives the same."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes; return all that surely is no part of the summary."""
        data = self._held + chunk if self._held else chunk
        at = data.find(_MARKER)
        if at < 0:
            at = _possible_start(data)
        self._held = data[at:]
        return data[:at] if self._held else data

    def finish(self) -> tuple[bytes, Summary | None]:
        """Return what was held and proved to be the answer's, and the summary when there was one."""
        if not self._held.startswith(_MARKER):
            return self._held, None
        try:
            fields = json.loads(self._held[len(_PREFIX) :])
            return b"", Summary(int(fields["output_tokens"]), fields["prompt_tokens"])
        except (ValueError, KeyError, TypeError):  # cut off: the guard died while it wrote
            return b"", None


def _possible_start(data: bytes) -> int:
    """Return where a marker could begin that the next chunk completes; the length when nowhere."""
    at = data.find(b":", max(0, len(data) - len(_MARKER) + 1))
    while at >= 0:
        if _MARKER.startswith(data[at:]):
            return at
        at = data.find(b":", at + 1)
    return len(data)
