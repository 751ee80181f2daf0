"""Arrays and facts in one safetensors file, written in one step and read without any library.

The format (https://github.com/huggingface/safetensors) is eight bytes of length, a JSON header and plain
arrays, so no file can run code.
"""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    Arrays = Mapping[str, np.ndarray[Any, np.dtype[Any]]]

_LENGTH_BYTES = 8
_LARGEST_HEADER = 4_000_000
_TYPES: dict[str, np.dtype[Any]] = {"F32": np.dtype("<f4"), "I8": np.dtype("i1")}
_NAMES = {kind: name for name, kind in _TYPES.items()}


class ArtefactError(ValueError):
    """A file that holds no usable weights; the message says why."""


def write(path: Path, arrays: Arrays, facts: Mapping[str, str]) -> None:
    """Write a file in one step: a reader finds the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(encoded(arrays, facts))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def read(path: Path) -> bytes:
    """Return a file's bytes, for `decoded`. Raises ArtefactError when it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error


def encoded(arrays: Arrays, facts: Mapping[str, str]) -> bytes:
    """Return the bytes of a safetensors file; the same arrays and facts give the same bytes."""
    header: dict[str, Any] = {"__metadata__": dict(facts)}
    parts, size = [], 0
    for name, array in sorted(arrays.items()):
        data = np.ascontiguousarray(array).tobytes()
        header[name] = {
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
            "data_offsets": [size, size + len(data)],
        }
        parts.append(data)
        size += len(data)
    head = json.dumps(header, sort_keys=True).encode()
    head += b" " * (-len(head) % _LENGTH_BYTES)
    return b"".join([len(head).to_bytes(_LENGTH_BYTES, "little"), head, *parts])


def decoded(data: bytes, origin: str) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    """Read what `encoded` wrote; `origin` names it in errors. Raises ArtefactError."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if not 0 < length <= min(_LARGEST_HEADER, len(data) - _LENGTH_BYTES):
        raise ArtefactError(f"{origin} holds no weights: its header has {length} bytes; copy it again")
    body = data[_LENGTH_BYTES + length :]
    try:
        header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
        facts = header.pop("__metadata__", {})
        arrays = {name: _array(entry, body) for name, entry in header.items()}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{origin} holds no weights: {error}; copy it again") from error
    return arrays, facts


def _array(entry: Mapping[str, Any], body: bytes) -> np.ndarray[Any, Any]:
    begin, end = entry["data_offsets"]
    array: np.ndarray[Any, Any] = np.frombuffer(body[begin:end], _TYPES[entry["dtype"]])
    array = array.reshape(entry["shape"])
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("a weight is not finite")
    return array
