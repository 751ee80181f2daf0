"""Weights on disk: one safetensors file with what the weights are and how they came to be.

The format (https://github.com/huggingface/safetensors) is eight bytes of length, a JSON header and plain
arrays, so no library is needed where forecasts are served, and no file can run code.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from presage_predictors.mlstm.network import Network, Singles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FORMAT = "presage-mlstm-1"  # changes with the network's arithmetic or inputs
LENGTH_BYTES = 8
LARGEST_HEADER = 1_000_000
SHIPPED = "weights.safetensors"


class ArtefactError(Exception):
    """A file that holds no usable weights; the message says why."""


@dataclass(frozen=True, slots=True)
class Artefact:
    """The members' weights and facts about them (`format`, `version`, `trained`, `seeds`, ...), all text."""

    members: tuple[dict[str, Singles], ...]
    facts: Mapping[str, str]

    def network(self) -> Network:
        """Return the network that these weights make."""
        return Network(self.members)

    @property
    def version(self) -> str:
        """Name of this training, as users read it."""
        return self.facts.get("version", "unnamed")


def shipped() -> Artefact:
    """Return the weights that come with the package."""
    return decoded(resources.files("presage_predictors.mlstm").joinpath(SHIPPED).read_bytes(), SHIPPED)


def load(path: Path) -> Artefact:
    """Read an artefact. Raises ArtefactError when it is missing, damaged or of another format."""
    try:
        return decoded(path.read_bytes(), str(path))
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}") from error


def save(artefact: Artefact, path: Path) -> None:
    """Write an artefact in one step: a reader finds the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        file.write(encoded(artefact.members, artefact.facts))
        file.flush()
        os.fsync(file.fileno())
    Path(file.name).chmod(0o644)
    Path(file.name).replace(path)


def encoded(members: Sequence[Mapping[str, Singles]], facts: Mapping[str, str]) -> bytes:
    """Return the bytes of a safetensors file; a tensor's name is `MEMBER.NAME`."""
    header: dict[str, object] = {"__metadata__": {"format": FORMAT, **facts}}
    arrays, offset = [], 0
    for number, member in enumerate(members):
        for name, array in sorted(member.items()):
            data = np.ascontiguousarray(array, dtype="<f4").tobytes()
            header[f"{number}.{name}"] = {
                "dtype": "F32",
                "shape": list(array.shape),
                "data_offsets": [offset, offset + len(data)],
            }
            arrays.append(data)
            offset += len(data)
    text = json.dumps(header, sort_keys=True).encode()
    text += b" " * (-len(text) % LENGTH_BYTES)
    return len(text).to_bytes(LENGTH_BYTES, "little") + text + b"".join(arrays)


def decoded(data: bytes, source: str) -> Artefact:
    """Return the artefact in these bytes. Raises ArtefactError, naming `source`, when there is none."""
    try:
        length = int.from_bytes(data[:LENGTH_BYTES], "little")
        if length > LARGEST_HEADER:
            raise ValueError("the header is longer than a megabyte")  # noqa: TRY301 - one message for all damage
        header = json.loads(data[LENGTH_BYTES : LENGTH_BYTES + length])
        facts = header.pop("__metadata__")
        members: dict[str, dict[str, Singles]] = {}
        for name, entry in header.items():
            number, _, tensor = name.partition(".")
            begin, end = (LENGTH_BYTES + length + offset for offset in entry["data_offsets"])
            array = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
            members.setdefault(number, {})[tensor] = np.asarray(array, dtype=np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"{source} holds no weights: {error}; train or copy it again") from error
    if facts.get("format") != FORMAT:
        raise ArtefactError(
            f"{source} has format {facts.get('format')!r}, this version reads {FORMAT!r}: train it again"
        )
    return Artefact(tuple(members[number] for number in sorted(members, key=int)), facts)
