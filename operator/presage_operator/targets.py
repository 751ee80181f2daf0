"""The object that is scaled: anything with a `/scale` subresource, found through API discovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from presage_operator.kube import ApiError, KubeApi, Object

if TYPE_CHECKING:
    from presage_crds import ScaleTargetRef


class TargetError(Exception):
    """The target cannot be scaled; `code` is a condition reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Target:
    """A target as its `/scale` shows it."""

    path: str
    replicas: int  # asked for, not necessarily there
    selector: str  # label selector of its pods, in text form
    resource_version: str


class Targets:
    """Reads and writes `/scale` of any kind; remembers where each kind is served."""

    def __init__(self, api: KubeApi) -> None:
        self._api = api
        self._plurals: dict[tuple[str, str], str] = {}

    async def read(self, namespace: str, ref: ScaleTargetRef) -> Target:
        """Read the target. Raises `TargetError` when it cannot be scaled, `ApiError` otherwise."""
        path = await self._path(namespace, ref)
        try:
            scale = await self._api.get(path)
        except ApiError as error:
            raise _explained(error, namespace, ref) from error
        return _target(path, scale)

    async def write(self, target: Target, replicas: int) -> bool:
        """Ask for `replicas`, unless somebody else changed the number since `target` was read.

        Returns whether it was written. Raises `ApiError`.
        """
        version = target.resource_version
        for _ in range(3):
            body = {"metadata": {"resourceVersion": version}, "spec": {"replicas": replicas}}
            try:
                await self._api.merge(target.path, body)
            except ApiError as error:
                if not error.conflict:
                    raise
            else:
                return True
            # Most conflicts are the target's own controller reporting progress.
            fresh = _target(target.path, await self._api.get(target.path))
            if fresh.replicas != target.replicas:
                return False
            version = fresh.resource_version
        return False

    async def _path(self, namespace: str, ref: ScaleTargetRef) -> str:
        root = _root(ref.api_version)
        plural = await self._plural(root, ref)
        return f"{root}/namespaces/{namespace}/{plural}/{ref.name}/scale"

    async def _plural(self, root: str, ref: ScaleTargetRef) -> str:
        key = (ref.api_version, ref.kind)
        if key not in self._plurals:
            try:
                served = (await self._api.get(root)).get("resources", [])
            except ApiError as error:
                if not error.not_found:
                    raise
                served = []
            self._plurals[key] = _scalable(served, ref)
        return self._plurals[key]


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"


def _scalable(served: list[Object], ref: ScaleTargetRef) -> str:
    """Return the plural of the kind. Raises `TargetError` when it is not served or has no `/scale`."""
    names = {entry["name"] for entry in served}
    for entry in served:
        if entry.get("kind") != ref.kind or "/" in entry["name"]:
            continue
        if f"{entry['name']}/scale" in names:
            return str(entry["name"])
        raise TargetError(
            "TargetNotScalable",
            f"{ref.api_version} {ref.kind} has no /scale subresource; name a kind that has one in"
            " scaleTargetRef.kind",
        )
    raise TargetError(
        "TargetKindUnknown",
        f"the API server serves no {ref.kind} in {ref.api_version}; mend scaleTargetRef or install its CRD",
    )


def _explained(error: ApiError, namespace: str, ref: ScaleTargetRef) -> Exception:
    named = f"{ref.kind} {namespace}/{ref.name}"
    if error.not_found:
        return TargetError("TargetNotFound", f"{named} does not exist; create it or mend scaleTargetRef.name")
    if error.reason == "Forbidden":
        return TargetError("TargetForbidden", f"the operator may not read /scale of {named}: {error}")
    return error


def _target(path: str, scale: Object) -> Target:
    return Target(
        path=path,
        replicas=int(scale.get("spec", {}).get("replicas") or 0),
        selector=str(scale.get("status", {}).get("selector") or ""),
        resource_version=str(scale["metadata"].get("resourceVersion", "")),
    )
