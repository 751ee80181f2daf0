"""The Kubernetes API as the operator needs it: plain objects in, plain objects out.

The generated client has one method per kind; the operator scales kinds it has never heard of. So
this module takes authentication, TLS and connection handling from `kubernetes.aio` and addresses
objects by path.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlencode

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Mapping

FIELD_MANAGER = "presage-operator"
APPLY = "application/apply-patch+yaml"
MERGE_PATCH = "application/merge-patch+json"
PAGE_SIZE = 500

Object = dict[str, Any]


class ApiError(Exception):
    """The API server answered with an error, or (`status` 0) could not be reached."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    @property
    def not_found(self) -> bool:
        """Whether the object (or its kind) does not exist."""
        return self.status == 404  # noqa: PLR2004 - HTTP's own number

    @property
    def conflict(self) -> bool:
        """Whether somebody else wrote the object since it was read, or created it first."""
        return self.status == 409  # noqa: PLR2004 - HTTP's own number

    @property
    def unreachable(self) -> bool:
        """Whether no answer came at all."""
        return self.status == 0


class KubeApi:
    """One authenticated connection pool to the API server."""

    def __init__(self, client: Any, timeout_seconds: float = 5.0) -> None:
        self._client = client
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)

    @classmethod
    async def connect(cls, timeout_seconds: float = 5.0) -> Self:
        """Connect with the pod's service account, else with the kubeconfig of the environment.

        Raises `kubernetes.aio.config.ConfigException` when there is neither.
        """
        from kubernetes.aio import client, config  # noqa: PLC0415 - a second of import, paid only where it is used

        configuration = client.Configuration()
        try:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]  # the client ships no types
        except config.ConfigException:
            await config.load_kube_config(  # type: ignore[no-untyped-call]  # as above
                client_configuration=configuration, persist_config=False
            )
        return cls(client.ApiClient(configuration), timeout_seconds)

    async def close(self) -> None:
        """Close every connection."""
        await self._client.close()

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        """Send one request; `path` is absolute, such as `/api/v1/pods`.

        Raises `ApiError`, with `status` 0 when the server gave no answer in time.
        """
        headers = {"Accept": "application/json", "Content-Type": content_type}
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = self._client.configuration.host + path + _encoded(query)
        try:
            response = await self._client.call_api(
                method, url, header_params=headers, body=body, _request_timeout=self._timeout
            )
            payload = await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            told = str(error) or type(error).__name__
            raise ApiError(0, "ApiServerUnreachable", f"{method} {path}: {told}") from error
        return _parsed(method, path, response.status, payload)

    async def get(self, path: str) -> Object:
        """Read one object. Raises `ApiError`."""
        return await self.request("GET", path)

    async def list(self, path: str, **query: str) -> list[Object]:
        """Read every object of a collection, page by page. Raises `ApiError`."""
        items: list[Object] = []
        page = {"limit": str(PAGE_SIZE), **query}
        while True:
            answer = await self.request("GET", path, query=page)
            items.extend(answer.get("items") or [])
            proceed = answer.get("metadata", {}).get("continue")
            if not proceed:
                return items
            page["continue"] = proceed

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection. Raises `ApiError`."""
        return await self.request("POST", path, body=body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object; its resourceVersion guards against lost updates. Raises `ApiError`."""
        return await self.request("PUT", path, body=body)

    async def merge(self, path: str, body: Object) -> Object:
        """Merge-patch an object. Raises `ApiError`."""
        return await self.request(
            "PATCH", path, query={"fieldManager": FIELD_MANAGER}, body=body, content_type=MERGE_PATCH
        )

    async def apply(self, path: str, body: Object) -> Object:
        """Server-side apply as this operator's only field manager, taking conflicts over.

        Raises `ApiError`.
        """
        query = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return await self.request("PATCH", path, query=query, body=body, content_type=APPLY)


def _encoded(query: Mapping[str, str] | None) -> str:
    return f"?{urlencode(query)}" if query else ""


def _parsed(method: str, path: str, status: int, payload: bytes) -> Object:
    try:
        answer = json.loads(payload) if payload else {}
    except ValueError:
        answer = {"message": payload.decode(errors="replace")[:500]}
    if status < 400:  # noqa: PLR2004 - where HTTP's errors begin
        return dict(answer)
    reason = str(answer.get("reason") or f"Http{status}")
    raise ApiError(status, reason, f"{method} {path}: {answer.get('message') or status}")
