"""Counts tokens in a stream of server-sent events and takes out what the client did not ask for.

The guard asks its engine for usage in every chunk, because one chunk may carry several tokens. The
hot path never decodes an event: usage stands last in the object, so it is found from the end by
bytes. Raw quotes inside JSON strings are always escaped, so `,"usage":{…}}` at the end of an event can
only be the top-level key. Any other form takes the slow path through a JSON parser.
"""

import json
import re
from typing import Any

_EVENT_END = re.compile(rb"\r\n\r\n|\n\n")
_USAGE_TAIL = re.compile(rb',\s*"usage"\s*:\s*(null|\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})\s*\}\s*\Z')
_COMPLETION = re.compile(rb'"completion_tokens"\s*:\s*(\d+)')
_PROMPT = re.compile(rb'"prompt_tokens"\s*:\s*(\d+)')
_NO_CHOICES = re.compile(rb'"choices"\s*:\s*\[\s*\]')
_LONGEST_EVENT = 4 * 1024 * 1024
_DONE = b"[DONE]"


class StreamMeter:
    """Reads one answer's event stream in chunks of any size; counts do not depend on the chunking.

    `keep_final`: the client asked for `include_usage`; `keep_continuous`: for `continuous_usage_stats` too.
    Counts: `tokens` generated so far, `prompt_tokens` once the engine told them (else None).
    """

    def __init__(self, *, keep_final: bool, keep_continuous: bool) -> None:
        self._keep_final = keep_final
        self._keep_continuous = keep_final and keep_continuous
        self._buffer = b""
        self._usage_seen = False
        self.tokens = 0
        self.prompt_tokens: int | None = None
        self.done = False
        self.failed = False

    @property
    def complete(self) -> bool:
        """Whether the engine ended the stream as it should: by `[DONE]` or by an error of its own."""
        return self.done or self.failed

    def feed(self, chunk: bytes) -> bytes:
        """Take in bytes as they came; return what may be passed on: whole events, stripped."""
        data = self._buffer + chunk if self._buffer else chunk
        out: list[bytes] = []
        start = 0
        for match in _EVENT_END.finditer(data):
            out.append(self._event(data[start : match.start()], match.group()))
            start = match.end()
        self._buffer = data[start:]
        if len(self._buffer) > _LONGEST_EVENT:  # no event stream: pass it on rather than hoard it
            out.append(self._buffer)
            self._buffer = b""
        return b"".join(out)

    def _event(self, event: bytes, end: bytes) -> bytes:
        payload = _payload(event)
        if payload is None:
            return event + end
        if payload == _DONE:
            self.done = True
            return event + end
        kept = self._data(payload)
        if kept is payload:
            return event + end
        return b"" if kept is None else b"data: " + kept + end

    def _data(self, payload: bytes) -> bytes | None:
        """Count one event's data; return it as the client gets it, None when it gets nothing."""
        at = payload.rfind(b'"usage"')
        tail = _USAGE_TAIL.search(payload, payload.rfind(b",", 0, at)) if at > 0 else None
        if tail is None:
            return self._parsed(payload)
        usage = tail.group(1)
        if usage == b"null":
            self._count_content(payload)
            return payload
        final = _NO_CHOICES.search(payload) is not None
        completion, prompt = _COMPLETION.search(usage), _PROMPT.search(usage)
        self._take(completion and int(completion[1]), prompt and int(prompt[1]), final=final)
        if self._keep_final if final else self._keep_continuous:
            return payload
        return None if final else payload[: tail.start()] + b"}"

    def _parsed(self, payload: bytes) -> bytes | None:
        try:
            document = json.loads(payload)
        except ValueError:
            return payload
        if not isinstance(document, dict):
            return payload
        self.failed = self.failed or _is_error(document)
        usage = document.get("usage")
        if not isinstance(usage, dict):
            self._count_choices(document)
            return payload
        final = not document.get("choices")
        self._take(usage.get("completion_tokens"), usage.get("prompt_tokens"), final=final)
        if self._keep_final if final else self._keep_continuous:
            return payload
        if final:
            return None
        del document["usage"]
        return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

    def _take(self, completion: Any, prompt: Any, *, final: bool) -> None:
        self._usage_seen = True
        if isinstance(completion, int):
            # With several choices each chunk tells its own choice's count; only the last tells the sum.
            self.tokens = completion if final else max(self.tokens, completion)
        if isinstance(prompt, int):
            self.prompt_tokens = prompt

    def _count_content(self, payload: bytes) -> None:
        try:
            document = json.loads(payload)
        except ValueError:
            return
        if isinstance(document, dict):
            self._count_choices(document)

    def _count_choices(self, document: dict[str, Any]) -> None:
        """Count one token per choice with content: all one can tell of an engine that sends no usage."""
        if self._usage_seen:
            return
        choices = document.get("choices")
        if isinstance(choices, list):
            self.tokens += sum(1 for choice in choices if isinstance(choice, dict) and _has_content(choice))


def answer_usage(body: bytes) -> tuple[int | None, int | None]:
    """Return (output tokens, prompt tokens) of an answer that did not stream; None where it tells none."""
    try:
        usage = json.loads(body).get("usage")
    except (ValueError, AttributeError):
        return None, None
    if not isinstance(usage, dict):
        return None, None
    output, prompt = usage.get("completion_tokens"), usage.get("prompt_tokens")
    return (output if isinstance(output, int) else None), (prompt if isinstance(prompt, int) else None)


def _payload(event: bytes) -> bytes | None:
    """Return an event's data, None for one without (a comment, a lone field)."""
    if event.startswith(b"data:") and b"\n" not in event:
        return event[5:].strip()
    lines = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _is_error(document: dict[str, Any]) -> bool:
    return isinstance(document.get("error"), dict) or document.get("object") == "error"


def _has_content(choice: dict[str, Any]) -> bool:
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return bool(choice.get("text"))
    return any(
        delta.get(key) for key in ("content", "reasoning_content", "reasoning", "refusal", "tool_calls")
    )
