"""Answers that the sidecar gives itself, in the form that OpenAI's clients understand."""

import json
from typing import Literal

from aiohttp import web

from presage_router import headers

Reason = Literal[
    "queue-full",
    "queue-timeout",
    "no-endpoints",
    "upstream-failed",
    "upstream-timeout",
    "body-too-large",
    "draining",
    "bad-request",
    "no-room",
    "engine-not-ready",
    "not-found",
]

_STATUS: dict[Reason, int] = {
    "queue-full": 429,
    "queue-timeout": 429,
    "no-endpoints": 503,
    "upstream-failed": 502,
    "upstream-timeout": 504,
    "body-too-large": 413,
    "draining": 503,
    "bad-request": 400,
    "no-room": 409,
    "engine-not-ready": 503,
    "not-found": 404,
}
_RETRY_AFTER_SECONDS = 1
_RETRYABLE = {429, 503}


class Refusal(Exception):  # noqa: N818 - not every refusal is an error: "no room" is daily business
    """The sidecar will not serve this request here and now; carries the whole answer for it."""

    def __init__(self, reason: Reason, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.reason: Reason = reason
        self.status = _STATUS[reason]
        self.message = message
        self.param = param

    def response(self) -> web.Response:
        """Return the HTTP answer: OpenAI's error form, the reason header, Retry-After where it helps."""
        sent: dict[str, str] = {headers.REASON: self.reason}
        if self.status in _RETRYABLE:
            sent["Retry-After"] = str(_RETRY_AFTER_SECONDS)
        body = error_body(self.message, self.status, self.reason, self.param)
        return web.Response(status=self.status, body=body, content_type="application/json", headers=sent)


def error_body(message: str, status: int, code: str, param: str | None = None) -> bytes:
    """Return `{"error": {message, type, param, code}}` as bytes."""
    kind = "invalid_request_error" if status in (400, 404, 413) else "server_error"
    if status == 429:  # noqa: PLR2004 - HTTP's number
        kind = "rate_limit_error"
    error = {"message": message, "type": kind, "param": param, "code": code}
    return json.dumps({"error": error}, separators=(",", ":")).encode()


def error_event(message: str, code: str) -> bytes:
    """Return the server-sent event that ends a stream whose upstream died; no `[DONE]` follows."""
    return b"data: " + error_body(message, 502, code) + b"\n\n"
