"""The rank head: the fast tower's last layer taught the order of lengths, and nothing else of them.

ListMLE over lists of requests to one model, as "Efficient LLM Scheduling by Learning to Rank" does
(arXiv 2408.15792; the loss is that of Xia et al., ICML 2008). There a language model of 125 million
parameters is trained; here the tower stays as it is and something is added to its last layer, the
regression's. Lists of one model say nothing of where models stand: that remains with the models' vectors, and
what is added has mean 0 over prompts, so that it moves no model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors.lengths.fast.network import FastTower
from presage_predictors.lengths.law import RANK
from presage_predictors.lengths.names import name_key
from presage_predictors.lengths.text import read
from presage_predictors.lengths.training.making import held_prompts
from presage_predictors.lengths.training.teacher import WARM_UP

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from presage_predictors.lengths.artefact import Artefact
    from presage_predictors.lengths.fast.network import Singles
    from presage_predictors.lengths.pairs import Pairs

LIST = 48  # requests of a list; fewer where no model has as many
LISTS = 16  # a step
STEPS = 1000
RATE, SCALE_RATE = 1e-3, 2e-2
# Chosen on the prompts that serve calibration: with less of both, the order of new prompts gets worse than
# the regression's (τ 0.508 where that has 0.523).
DROPPED, DECAY = 0.2, 1.0
BUCKET = 10  # tokens that are no difference, as in the paper


def list_mle(scores: Tensor, tokens: Tensor) -> Tensor:
    """Return the mean of minus the log likelihood of orders by falling length: lists [lists, requests].

    Ties, lengths of the same `BUCKET`, stand as they were given.
    """
    order = torch.argsort(tokens // BUCKET, dim=1, descending=True, stable=True)
    ordered = scores.gather(1, order)
    rest = torch.logcumsumexp(ordered.flip(1), 1).flip(1)
    return (rest - ordered).mean()


def with_rank_head(artefact: Artefact, pairs: Pairs, seed: int) -> Artefact:
    """Return the artefact with a rank head trained on pairs to models that it knows; all else stays.

    Prompts that serve calibration are left out. Raises ValueError where no model is known.
    """
    pairs = pairs.taken(np.flatnonzero(~held_prompts(pairs)[pairs.prompt_of]))
    lists = _Lists(pairs, artefact.sides.names)
    hidden = torch.from_numpy(_hidden(artefact, pairs))
    vectors = torch.tensor(artefact.sides.known)
    torch.manual_seed(seed)
    head = _Head(torch.tensor(artefact.weights.last[:, :RANK]), hidden[np.unique(pairs.prompt_of)].mean(0))
    rates = [RATE, SCALE_RATE]
    optimizer = torch.optim.Adam([{"params": [head.learnt]}, {"params": [head.scale]}])
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=STEPS + 1, pct_start=WARM_UP)
    for rows in lists.drawn(STEPS, seed):
        scores = head(hidden[pairs.prompt_of[rows]], vectors[lists.model[rows]])
        error = list_mle(scores, torch.from_numpy(pairs.response_tokens[rows]))
        error = error + DECAY * (head.learnt**2).sum()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        schedule.step()
    return replace(artefact, rank=head.layer())


class _Head(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """The regression's layer [hidden + 1, RANK] with what is learnt on it; at `middle` [hidden] that is 0."""

    def __init__(self, first: Tensor, middle: Tensor) -> None:
        super().__init__()
        self._first, self._middle = first, middle
        self.learnt = nn.Parameter(torch.zeros_like(first[:-1]))
        self.scale = nn.Parameter(torch.zeros(()))  # log: how surely an order follows scores

    def forward(self, inputs: Tensor, sides: Tensor) -> Tensor:
        """Return scaled scores [...] of inputs [..., hidden] and models' vectors [..., SIDE]."""
        inputs = nn.functional.dropout(inputs, DROPPED)
        factors = inputs @ self._first[:-1] + self._first[-1] + (inputs - self._middle) @ self.learnt
        scores = factors[..., 0] + sides[..., 0] + (factors[..., 1:] * sides[..., 1:RANK]).sum(-1)
        return self.scale.exp() * scores

    def layer(self) -> Singles:
        """Return the whole layer, as the run time has it."""
        with torch.no_grad():
            bias = self._first[-1] - self._middle @ self.learnt
            made: Singles = torch.cat([self._first[:-1] + self.learnt, bias[None]]).numpy()
            return made


class _Lists:
    """Draws lists of rows of pairs, each of one model that is among the names."""

    def __init__(self, pairs: Pairs, names: Sequence[str]) -> None:
        places = {name: place for place, name in enumerate(names)}
        keys, which = np.unique(pairs.models, return_inverse=True)
        self.model = np.array([places.get(name_key(str(key)), -1) for key in keys], np.int64)[which]
        order = np.argsort(self.model, kind="stable")
        known = order[self.model[order] >= 0]
        if not len(known):
            raise ValueError(
                "no model of these pairs is among those of the weights: give pairs of such models"
            )
        _, begins = np.unique(self.model[known], return_index=True)
        rows = np.split(known, begins[1:])
        self._size = min(LIST, max(map(len, rows)))
        self._rows = [own for own in rows if len(own) >= self._size]

    def drawn(self, steps: int, seed: int) -> Iterator[NDArray[np.int64]]:
        """Yield rows [LISTS, requests of a list], a model as often as it has rows."""
        rng = np.random.default_rng(seed)
        counts = np.array([len(rows) for rows in self._rows])
        for _ in range(steps):
            models = rng.choice(len(counts), LISTS, p=counts / counts.sum())
            yield np.stack([rng.choice(self._rows[model], self._size, replace=False) for model in models])


def _hidden(artefact: Artefact, pairs: Pairs) -> Singles:
    """Return the tower's last hidden layer [prompts, hidden] of all prompts that have a pair."""
    tower = FastTower(artefact.weights)
    made = np.zeros((len(pairs.prompts), len(artefact.weights.last) - 1), np.float32)
    used, first = np.unique(pairs.prompt_of, return_index=True)
    for prompt, row in zip(used, first, strict=True):
        made[prompt] = tower.hidden(read(pairs.features(int(row))))
    return made
