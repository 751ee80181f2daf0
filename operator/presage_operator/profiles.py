"""The engine profile that a pool names, read once."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from presage_policies.profiles import load_profile

if TYPE_CHECKING:
    from presage_crds import LLMService
    from presage_policies.engine import EngineProfile


class UnknownProfileError(ValueError):
    """The pool names a profile that does not ship; the message names the field, the value, and what does."""


def profile_of(service: LLMService) -> EngineProfile:
    """Return the profile of the service's pool. Raises UnknownProfileError."""
    try:
        return _profile(service.spec.pools[0].engine_profile)
    except ValueError as error:
        raise UnknownProfileError(f"spec.pools[0].engineProfile: {error}") from error


@lru_cache(maxsize=64)
def _profile(name: str) -> EngineProfile:
    return load_profile(name)
