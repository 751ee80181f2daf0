"""Prompt tuning: the soft prompt, and the head along with it, trained through the frozen encoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from presage_predictors.lengths.text import read
from presage_predictors.lengths.training.law import log_quantiles, loss
from presage_predictors.lengths.training.teacher import LARGEST_GRADIENT, WARM_UP

if TYPE_CHECKING:
    from presage_policies.lengths import RequestFeatures

    from presage_predictors.lengths.training.rows import Rows
    from presage_predictors.lengths.transformer.tower import SoftPromptTower

PROMPTS_A_STEP = 24
ROWS_A_PROMPT = 16
SOFT_RATE, HEAD_RATE = 1e-2, 3e-4
HEAD_DECAY = 0.1


def tune_soft_prompt(
    tower: SoftPromptTower,
    vectors: Tensor,
    requests: list[RequestFeatures],
    *,
    rows: Rows,
    steps: int,
    seed: int,
) -> None:
    """Train so many steps; rows number `requests`' prompts, `vectors` [models, SIDE] stay as they are."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    order = np.argsort(rows.prompt, kind="stable")
    prompts, begins, counts = np.unique(rows.prompt[order], return_index=True, return_counts=True)
    shares = np.minimum(counts, ROWS_A_PROMPT) / np.minimum(counts, ROWS_A_PROMPT).sum()
    groups = [
        {"params": [tower.soft], "lr": SOFT_RATE, "weight_decay": 0.0},
        {"params": tower.head.parameters(), "lr": HEAD_RATE, "weight_decay": HEAD_DECAY},
    ]
    optimizer = torch.optim.AdamW(groups)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, [SOFT_RATE, HEAD_RATE], total_steps=steps + 1, pct_start=WARM_UP
    )
    tower.train()
    tower.frozen.eval()
    for _ in range(steps):
        chosen = rng.choice(len(prompts), PROMPTS_A_STEP, p=shares)
        batch, place = [], []
        for slot, prompt in enumerate(chosen):
            own = order[begins[prompt] : begins[prompt] + counts[prompt]]
            taken = rng.permutation(own)[:ROWS_A_PROMPT]
            batch.append(taken)
            place += [slot] * len(taken)
        picked = np.concatenate(batch)
        asked = [requests[prompt] for prompt in prompts[chosen]]
        signals = torch.from_numpy(np.stack([read(request).signals for request in asked]))
        reading = tower([tower.encoder.pieces(request.prompt) for request in asked], signals)[place]
        vector = vectors[torch.from_numpy(rows.model[picked])]
        error = loss(log_quantiles(reading, vector), *rows.targets(picked))
        optimizer.zero_grad()
        error.backward()
        nn.utils.clip_grad_norm_([tower.soft, *tower.head.parameters()], LARGEST_GRADIENT)
        optimizer.step()
        schedule.step()
