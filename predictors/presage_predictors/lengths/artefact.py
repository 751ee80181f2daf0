"""The fast tier on disk: the tower's weights, the models' side, and how they came to be."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from importlib import resources
from typing import TYPE_CHECKING, Any

from presage_predictors import tensors
from presage_predictors.lengths.fast.network import Weights
from presage_predictors.lengths.law import RANK, READING, SIDE
from presage_predictors.lengths.sides import Sides
from presage_predictors.lengths.text import PAIR_ROWS, SIGNALS, WORD_ROWS
from presage_predictors.tensors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from presage_predictors.lengths.fast.network import Singles

FORMAT = "presage-length-1"  # changes with the network's arithmetic or inputs
_VERSION_LETTERS = 12
SHIPPED = "weights.safetensors"
_RANK_HEAD = "rank.layer"


@dataclass(frozen=True)
class Artefact:
    """The fast tower's weights, its models' side, and facts about them, all text.

    `version` names what was read from a file: the beginning of its SHA-256, the same for the same training.
    `rank` [hidden + 1, RANK] is the rank head's layer (`ranking.py`), None where none was trained.
    """

    weights: Weights
    sides: Sides
    facts: Mapping[str, str]
    version: str = ""
    rank: Singles | None = None


def shipped() -> Artefact:
    """Return the weights that come with the package."""
    folder = resources.files("presage_predictors.lengths.fast")
    return decoded(folder.joinpath(SHIPPED).read_bytes(), SHIPPED)


def load(path: Path) -> Artefact:
    """Read an artefact. Raises ArtefactError when it is missing, damaged or of another format."""
    return decoded(tensors.read(path), str(path))


def found(path: Path | None) -> Artefact:
    """Read an artefact, or that of the package where no path is given. Raises ArtefactError."""
    return shipped() if path is None else load(path)


def save(artefact: Artefact, path: Path) -> None:
    """Write an artefact in one step."""
    arrays = {f"weights.{field.name}": getattr(artefact.weights, field.name) for field in fields(Weights)}
    if artefact.rank is not None:
        arrays[_RANK_HEAD] = artefact.rank
    facts = {**artefact.facts, "format": FORMAT, **side_facts(artefact.sides)}
    tensors.write(path, arrays | side_arrays(artefact.sides), facts)


def decoded(data: bytes, origin: str) -> Artefact:
    """Read an artefact's bytes; `origin` names it in errors. Raises ArtefactError."""
    arrays, facts = tensors.decoded(data, origin)
    if facts.get("format") != FORMAT:
        raise ArtefactError(f"{origin} has format {facts.get('format')!r}: train again, {FORMAT!r} is read")
    try:
        weights = Weights(**{field.name: arrays[f"weights.{field.name}"] for field in fields(Weights)})
    except KeyError as error:
        raise ArtefactError(f"{origin} lacks {error}: train again") from error
    sides = sides_of(arrays, facts, origin)
    for what, found, wanted in (
        ("rows of words", len(weights.words), WORD_ROWS),
        ("rows of pairs", len(weights.pairs), PAIR_ROWS),
        ("signals", len(weights.signal_mean), len(SIGNALS)),
        ("outputs", weights.last.shape[-1], READING),
    ):
        if found != wanted:
            raise ArtefactError(f"{origin} has {found} {what}: {wanted} are needed")
    rank = arrays.get(_RANK_HEAD)
    if rank is not None and rank.shape != (len(weights.last), RANK):
        raise ArtefactError(
            f"{origin} has a rank head of shape {rank.shape}: {(len(weights.last), RANK)} fits"
        )
    told = {k: v for k, v in facts.items() if k not in {"format", "models"}}
    return Artefact(weights, sides, told, hashlib.sha256(data).hexdigest()[:_VERSION_LETTERS], rank)


def side_arrays(sides: Sides) -> dict[str, Any]:
    """Return the models' side as named arrays."""
    return {f"sides.{field.name}": getattr(sides, field.name) for field in fields(Sides)[1:]}


def side_facts(sides: Sides) -> dict[str, str]:
    """Return what of the models' side is text: the models' names."""
    return {"models": json.dumps(sides.names)}


def sides_of(arrays: Mapping[str, Any], facts: Mapping[str, str], origin: str) -> Sides:
    """Read the models' side. Raises ArtefactError."""
    try:
        rest = {field.name: arrays[f"sides.{field.name}"] for field in fields(Sides)[1:]}
        sides = Sides(names=tuple(json.loads(facts["models"])), **rest)
    except (KeyError, ValueError) as error:
        raise ArtefactError(f"{origin} lacks {error}: train again") from error
    if sides.known.shape != (len(sides.names), SIDE):
        raise ArtefactError(
            f"{origin} has vectors of shape {sides.known.shape} for {len(sides.names)} models"
        )
    return sides
