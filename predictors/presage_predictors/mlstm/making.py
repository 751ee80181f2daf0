"""Makes an artefact: an ensemble of networks that differ in their seed, and the facts about it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import torch

from presage_predictors.mlstm.artefact import Artefact, encoded
from presage_predictors.mlstm.training import Schedule, train

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from presage_predictors.mlstm.corpus import Corpus
    from presage_predictors.mlstm.network import Singles

TUNING = Schedule(epochs=3, step=3e-4)  # for weights that are good already


def made(
    corpus: Corpus,
    schedule: Schedule,
    seeds: tuple[int, ...],
    facts: Mapping[str, str],
    tell: Callable[[str], None],
) -> Artefact:
    """Train one network a seed, from scratch; the version is a digest of the weights."""
    members = tuple(_weights(train(corpus, schedule, seed, tell).state_dict()) for seed in seeds)
    return _named(members, dict(facts) | _how(schedule, corpus) | {"seeds": " ".join(map(str, seeds))})


def tuned(
    artefact: Artefact, corpus: Corpus, facts: Mapping[str, str], tell: Callable[[str], None]
) -> Artefact:
    """Train an artefact's networks on, gently, with other examples."""
    members = tuple(
        _weights(train(corpus, TUNING, number, tell, start).state_dict())
        for number, start in enumerate(artefact.members)
    )
    return _named(members, dict(facts) | _how(TUNING, corpus) | {"continued_from": artefact.version})


def _weights(state: Mapping[str, torch.Tensor]) -> dict[str, Singles]:
    return {name: np.asarray(tensor.numpy(), dtype=np.float32) for name, tensor in state.items()}


def _how(schedule: Schedule, corpus: Corpus) -> dict[str, str]:
    return {
        "epochs": str(schedule.epochs),
        "step": str(schedule.step),
        "examples": str(len(corpus.truth)),
        "torch": torch.__version__,
    }


def _named(members: tuple[dict[str, Singles], ...], facts: dict[str, str]) -> Artefact:
    digest = hashlib.sha256(encoded(members, {})).hexdigest()[:12]
    return Artefact(members, {"version": digest, **facts})
