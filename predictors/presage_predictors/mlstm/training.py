"""Trains the network: pinball loss over all quantiles, each series in units of its own difficulty."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors.controls.statistical import LEVELS
from presage_predictors.mlstm.module import MLSTM
from presage_predictors.mlstm.network import apart

if TYPE_CHECKING:
    from collections.abc import Callable

    from presage_predictors.mlstm.corpus import Corpus
    from presage_predictors.mlstm.network import Weights

BATCH = 128
LEVEL_WEIGHTS = (1.0, 1.0, 1.0, 6.0, 1.0, 3.0, 1.0, 0.5)  # what is read: the median and the 90 % quantile
LARGEST_WEIGHT = 10.0
LARGEST_TARGET = 60.0  # units: a wilder window teaches nothing more


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and how fast: passes over the examples, Adam's peak step and decay of weights."""

    epochs: int = 5
    step: float = 1.5e-3
    decay: float = 0.02


@dataclass(frozen=True, slots=True)
class Batches:
    """Examples as tensors."""

    sequence: Tensor
    steps: Tensor
    apart: Tensor
    target: Tensor
    weight: Tensor

    @classmethod
    def of(cls, corpus: Corpus) -> Batches:
        """Return the examples with targets in units from the last value, NaN where unknown."""
        view = corpus.view
        last = view.said[:, 0]
        target = np.clip((corpus.truth - last) / view.unit, -LARGEST_TARGET, LARGEST_TARGET)
        weight = np.minimum(view.unit * corpus.weight, LARGEST_WEIGHT)
        arrays = (view.sequence, view.steps, apart(view), target, weight)
        return cls(*(torch.from_numpy(np.asarray(array, dtype=np.float32)) for array in arrays))


def train(
    corpus: Corpus,
    schedule: Schedule,
    seed: int,
    tell: Callable[[str], None],
    start: Weights | None = None,
) -> MLSTM:
    """Return a network trained on the examples, from `start` on where given.

    The same seed on the same machine gives the same weights, so one thread is used.
    """
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    network = MLSTM()
    if start is not None:
        network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in start.items()})
    batches = Batches.of(corpus)
    count = len(batches.sequence)
    total = schedule.epochs * (count // BATCH)
    optimiser = torch.optim.AdamW(network.parameters(), lr=schedule.step, weight_decay=schedule.decay)
    pace = torch.optim.lr_scheduler.OneCycleLR(optimiser, schedule.step, total_steps=total, pct_start=0.1)
    for epoch in range(schedule.epochs):
        losses = []
        for chosen in torch.randperm(count)[: count // BATCH * BATCH].split(BATCH):
            optimiser.zero_grad()
            loss = pinball(network, batches, chosen)
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimiser.step()
            pace.step()
            losses.append(float(loss.detach()))
        tell(f"seed {seed}, epoch {epoch + 1} of {schedule.epochs}: loss {np.mean(losses):.4f}")
    network.eval()
    return network


def pinball(network: MLSTM, batches: Batches, chosen: Tensor) -> Tensor:
    """Return the weighted mean pinball loss of the chosen examples over the steps that are known."""
    target = batches.target[chosen]
    known = torch.isfinite(target)
    made = network(batches.sequence[chosen], batches.steps[chosen], batches.apart[chosen])
    error = torch.where(known, target, 0.0)[:, :, None] - made
    level = torch.tensor(LEVELS)
    loss = torch.maximum(level * error, (level - 1) * error) * torch.tensor(LEVEL_WEIGHTS)
    weight = batches.weight[chosen] * known
    return (loss.mean(dim=2) * weight).sum() / weight.sum()
