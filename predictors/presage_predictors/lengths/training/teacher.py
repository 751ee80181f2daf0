"""A teacher: a head on frozen sentence vectors, trained together with a vector for each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors.lengths.law import READING
from presage_predictors.lengths.training.law import log_quantiles, loss
from presage_predictors.lengths.training.side import Side

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from presage_predictors.lengths.training.rows import Rows

HIDDEN = 256
BATCH = 4096
EPOCHS = 16.0
RATE = 2e-3
DROPPED, DROPPED_INPUTS = 0.4, 0.05
HEAD_DECAY, SIDE_DECAY = 0.3, 0.3
WARM_UP = 0.15  # share of the steps in which the rate rises
LARGEST_GRADIENT = 1.0
_VECTOR_UNIT = 20.0  # sentence vectors have length 1: bring their entries to the order of one


class Head(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """From sentence vectors [prompts, width] and signals [prompts, signals] to readings."""

    def __init__(self, width: int, signals: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.drop_inputs = nn.Dropout(DROPPED_INPUTS)
        self.layers = nn.Sequential(
            nn.Linear(width + signals, HIDDEN),
            nn.SiLU(),
            nn.Dropout(DROPPED),
            nn.Linear(HIDDEN, HIDDEN // 2),
            nn.SiLU(),
            nn.Dropout(DROPPED),
            nn.Linear(HIDDEN // 2, READING),
        )

    def forward(self, vectors: Tensor, signals: Tensor) -> Tensor:
        """Return readings."""
        return self.layers(self.drop_inputs(torch.cat([self.norm(vectors * _VECTOR_UNIT), signals], 1)))


@dataclass
class Teacher:
    """A trained head and the models' vectors that belong to it."""

    head: Head
    side: Side

    def readings(self, vectors: NDArray[np.float32], signals: NDArray[np.float32]) -> Tensor:
        """Return readings [prompts, READING]."""
        self.head.eval()
        with torch.no_grad():
            return self.head(torch.from_numpy(vectors), torch.from_numpy(signals))


def train_teacher(
    rows: Rows, vectors: NDArray[np.float32], signals: NDArray[np.float32], seed: int
) -> Teacher:
    """Train a head on rows of prompts with these vectors and signals; the seed decides all chance."""
    torch.manual_seed(seed)
    head, side = Head(vectors.shape[1], signals.shape[1]), Side(len(rows.names))
    groups = [
        {"params": head.parameters(), "weight_decay": HEAD_DECAY},
        {"params": [side.deviation.weight], "weight_decay": SIDE_DECAY},
        {"params": [side.middle], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, RATE, total_steps=rows.count(BATCH, EPOCHS) + 1, pct_start=WARM_UP
    )
    all_vectors, all_signals = torch.from_numpy(vectors), torch.from_numpy(signals)
    for batch in rows.batches(BATCH, EPOCHS, seed):
        prompts, place = np.unique(rows.prompt[batch], return_inverse=True)
        reading = head(all_vectors[prompts], all_signals[prompts])[torch.from_numpy(place)]
        vector = side(torch.from_numpy(rows.model[batch]))
        error = loss(log_quantiles(reading, vector), *rows.targets(batch))
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_([*head.parameters(), *side.parameters()], LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
    side.eval()
    return Teacher(head, side)
