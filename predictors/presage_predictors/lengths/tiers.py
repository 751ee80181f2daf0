"""The tiers by name, each made fresh: what it learns online is its own."""

from pathlib import Path

from presage_policies.lengths import LengthPredictor

from presage_predictors.history import HistoryLengthPredictor
from presage_predictors.lengths import artefact
from presage_predictors.lengths.artefact import Artefact
from presage_predictors.lengths.combined import CombinedLengthPredictor
from presage_predictors.lengths.fast.network import FastTower
from presage_predictors.lengths.predictor import TextLengthPredictor

TIERS = ("transformer", "fast", "history", "combined")
RANK = "rank"  # tells an order instead of lengths


def fast(weights: Path | None = None, *, online: bool = True) -> TextLengthPredictor:
    """Return the fast tier, with the weights that come with the package or others. Raises ArtefactError."""
    return text_of(artefact.found(weights), online=online)


def text_of(found: Artefact, *, online: bool = True) -> TextLengthPredictor:
    """Return the fast tier with these weights."""
    return TextLengthPredictor(FastTower(found.weights), found.sides, online=online)


def combined(weights: Path | None = None, *, online: bool = True) -> CombinedLengthPredictor:
    """Return the fast tier and history, weighed online. Raises ArtefactError."""
    return CombinedLengthPredictor(fast(weights, online=online), online=online)


def tier(name: str, weights: Path | None = None, *, online: bool = True) -> LengthPredictor:
    """Return a tier by name; `weights` is a file of the transformer or the fast tier. Raises ValueError."""
    if name == "fast":
        return fast(weights, online=online)
    if name == "combined":
        return combined(weights, online=online)
    if name == "history":
        return HistoryLengthPredictor()
    if name == "transformer":
        return _transformer(weights, online=online)
    raise ValueError(f"--tier is {name!r}: give one of {', '.join((*TIERS, RANK))}")


def _transformer(weights: Path | None, *, online: bool) -> TextLengthPredictor:
    if weights is None:
        raise ValueError("--weights is missing: the transformer tier comes with no weights, train one")
    try:
        from presage_predictors.lengths.transformer.tower import load  # noqa: PLC0415 - loads torch
    except ImportError as error:
        raise ValueError(f"the transformer tier needs {error.name}: install the extra `train`") from error
    try:
        tower, sides = load(weights)
    except OSError as error:
        raise ValueError(f"{weights} or its encoder cannot be loaded: {error}") from error
    return TextLengthPredictor(tower, sides, online=online)
