"""Reading a real engine's run: one JSON line a request, and the settings that the engine ran with."""

import gzip
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from presage_policies.engine import EngineProfile

GZIP = b"\x1f\x8b"
CLOCK_SECONDS = 1e6  # two stamps of one clock are not so far apart; the wall clock counts from 1970
SETTINGS = {  # a profile's field by the engine's own names for it
    "max_num_seqs": "max_sequences",
    "max_num_batched_tokens": "token_budget",
    "block_size": "block_tokens",
}


class RunError(ValueError):
    """A run that cannot be used; the message names the file, the field, the value and the fix."""


@dataclass(frozen=True, slots=True)
class MeasuredRequest:
    """One request as a real engine served it: tokens, and seconds on the engine's own clock."""

    request_id: str
    prompt_tokens: int
    output_tokens: int
    arrival: float
    first_token: float
    last_token: float


@dataclass(frozen=True, slots=True)
class Run:
    """The requests that ended, by arrival, and how many others the file has."""

    requests: tuple[MeasuredRequest, ...]
    unfinished: int


def read_run(path: Path) -> Run:
    """Read a run, gzipped or not. Raises RunError naming the line and the field."""
    lines = list(_lines(path))
    requests = [_request(path, number, line) for number, line in lines]
    ended = sorted((r for r in requests if r is not None), key=lambda r: r.arrival)
    if not ended:
        raise RunError(f"{path}: no request has a first and a last token: give a run in which some ended")
    return Run(tuple(ended), len(lines) - len(ended))


def read_settings(path: Path) -> dict[str, Any]:
    """Return the engine's own settings from a run's meta file; those that are not set are left out."""
    try:
        meta = json.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise RunError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(meta, dict):
        raise RunError(f"{path}: is {type(meta).__name__}: give an object with engine_kwargs")
    settings = meta.get("engine_kwargs", meta.get("engine_effective", meta))
    if not isinstance(settings, dict):
        raise RunError(f"{path}: engine_kwargs is {settings!r}: give an object")
    return {key: value for key, value in settings.items() if value is not None}


def with_settings(profile: EngineProfile, settings: dict[str, Any], where: str) -> EngineProfile:
    """Return the profile under a run's own limits. Raises RunError naming a setting that is no number."""
    changed: dict[str, int] = {}
    for key, name in SETTINGS.items():
        if key in settings:
            changed[name] = _whole(settings[key], key, where)
    for key in ("num_gpu_blocks", "num_gpu_blocks_override"):
        if key in settings:
            blocks = _whole(settings[key], key, where)
            changed["kv_capacity_tokens"] = blocks * changed.get("block_tokens", profile.block_tokens)
    return replace(
        profile,
        max_sequences=changed.get("max_sequences", profile.max_sequences),
        token_budget=changed.get("token_budget", profile.token_budget),
        block_tokens=changed.get("block_tokens", profile.block_tokens),
        kv_capacity_tokens=changed.get("kv_capacity_tokens", profile.kv_capacity_tokens),
    )


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        content = path.read_bytes()
        text = (gzip.decompress(content) if content.startswith(GZIP) else content).decode("utf-8")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise RunError(f"{path}: cannot be read: {error}; give JSON lines, gzipped or not") from error
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise RunError(f"{path}: line {number} is not JSON: {error}") from error
            if not isinstance(value, dict):
                raise RunError(f"{path}: line {number} is {value!r}: give an object of a request's fields")
            yield number, value


def _request(path: Path, number: int, line: dict[str, Any]) -> MeasuredRequest | None:
    """Read one request; None when it did not end."""
    where = f"{path}: line {number}"
    if (
        line.get("first_token_ts") is None
        or line.get("last_token_ts") is None
        or line.get("output_toks") == 0
    ):
        return None
    first, last = (_seconds(line, name, where) for name in ("first_token_ts", "last_token_ts"))
    return MeasuredRequest(
        request_id=str(line.get("request_id", number)),
        prompt_tokens=_whole(line.get("input_toks"), "input_toks", where),
        output_tokens=_whole(line.get("output_toks"), "output_toks", where),
        arrival=_arrival(line, first, where),
        first_token=first,
        last_token=last,
    )


def _arrival(line: dict[str, Any], first_token: float, where: str) -> float:
    """Return when the engine got the request, on the clock of its tokens.

    `arrival_time` is often the wall clock's while the rest is the monotonic clock's: the two cannot be
    subtracted. `queued_ts` is what the engine saw, on its own clock.
    """
    for name in ("queued_ts", "arrival_time", "scheduled_ts"):
        if line.get(name) is not None:
            at = _seconds(line, name, where)
            if abs(first_token - at) < CLOCK_SECONDS:
                if at > first_token:
                    raise RunError(
                        f"{where}: {name} is {at!r}, after first_token_ts {first_token!r}: correct it"
                    )
                return at
    raise RunError(f"{where}: queued_ts is missing, and no arrival is on the clock of first_token_ts: add it")


def _seconds(line: dict[str, Any], name: str, where: str) -> float:
    value = line.get(name)
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise RunError(f"{where}: {name} is {value!r}: give seconds")
    return float(value)


def _whole(value: Any, name: str, where: str) -> int:
    if not isinstance(value, int | float) or isinstance(value, bool) or value != int(value) or value < 1:
        raise RunError(f"{where}: {name} is {value!r}: give a whole number of 1 or more")
    return int(value)
