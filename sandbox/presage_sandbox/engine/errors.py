"""Refusals in the form that OpenAI clients parse, with the types and codes that vLLM gives them."""

from __future__ import annotations

import json


class ApiError(Exception):
    """A request that cannot be served; `status` is the HTTP status, `param` the field at fault."""

    def __init__(self, status: int, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param

    def body(self) -> bytes:
        """Give the JSON body `{"error": {"message", "type", "param", "code"}}`."""
        error = {
            "message": self.message,
            "type": _TYPES.get(self.status, "InternalServerError"),
            "param": self.param,
            "code": self.status,
        }
        return json.dumps({"error": error}).encode()


_TYPES = {
    400: "BadRequestError",
    404: "NotFoundError",
    413: "BadRequestError",
    503: "ServiceUnavailableError",
}


def bad_request(param: str, message: str) -> ApiError:
    """Give a 400 that names the field at fault."""
    return ApiError(400, message, param)
