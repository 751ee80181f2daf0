"""What `presage length train` does: encoder, training, artefacts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from presage_policies.lengths import RequestFeatures

from presage_predictors.lengths.artefact import Artefact
from presage_predictors.lengths.law import READING
from presage_predictors.lengths.split import part_of
from presage_predictors.lengths.training.encoder import Encoder
from presage_predictors.lengths.training.making import MOST_WORDS_TAKEN, calibrated_sides, make
from presage_predictors.lengths.training.ranking import with_rank_head
from presage_predictors.lengths.training.vectors import KeptVectors
from presage_predictors.lengths.transformer.tower import SOFT_PIECES, SoftPromptTower, save
from presage_predictors.lengths.transformer.tuning import tune_soft_prompt

if TYPE_CHECKING:
    from pathlib import Path

    from presage_predictors.lengths.pairs import Pairs
    from presage_predictors.lengths.training.making import Made, Say


@dataclass(frozen=True)
class Wanted:
    """What a training makes: a transformer tier beside the fast one where there is a file for it."""

    encoder: str  # name or folder
    seed: int
    hold_out: bool  # leave out the test parts of the development split
    cache: Path | None = None
    transformer: Path | None = None
    soft_prompt_steps: int = 0


def trained(pairs: Pairs, wanted: Wanted, say: Say) -> Artefact:
    """Train on pairs, write the transformer tier, return the fast one.

    One thread: sums in another order give other weights. Raises ValueError when the encoder cannot be had.
    """
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    try:
        encoder = Encoder.load(wanted.encoder)
    except OSError as error:
        raise ValueError(f"the encoder {wanted.encoder!r} cannot be loaded: {error}") from error
    if wanted.hold_out:
        pairs = pairs.taken(part_of(pairs, "train"))
    vectors = KeptVectors(encoder, wanted.cache)
    made = make(pairs, vectors, encoder.words()[:MOST_WORDS_TAKEN], wanted.seed, say)
    if wanted.transformer is not None:
        _tuned(pairs, encoder, made, wanted, wanted.transformer)
        say(f"written: {wanted.transformer}")
    facts = {
        "encoder": wanted.encoder,
        "seed": str(wanted.seed),
        "pairs": str(len(pairs)),
        "prompts": str(len(np.unique(pairs.prompt_of))),
        "held_out": str(wanted.hold_out),
    }
    fast = with_rank_head(Artefact(made.weights, made.sides, facts), pairs, wanted.seed)
    say("rank head trained")
    return fast


def ranked(artefact: Artefact, pairs: Pairs, *, hold_out: bool, seed: int) -> Artefact:
    """Return weights at hand with a rank head trained on pairs, the rest as it was."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    return with_rank_head(artefact, pairs.taken(part_of(pairs, "train")) if hold_out else pairs, seed)


def _tuned(pairs: Pairs, encoder: Encoder, made: Made, wanted: Wanted, path: Path) -> None:
    """Tune a soft prompt for the teacher's head, calibrate, save; without steps there is none."""
    mean, scale = torch.from_numpy(made.weights.signal_mean), torch.from_numpy(made.weights.signal_scale)
    torch.manual_seed(wanted.seed)
    tower = SoftPromptTower(
        encoder, made.teacher.head, mean, scale, SOFT_PIECES if wanted.soft_prompt_steps else 0
    )
    tokens = np.zeros(len(pairs.prompts), np.int64)
    tokens[pairs.prompt_of] = pairs.prompt_tokens
    requests = [
        RequestFeatures("", "", int(count), None, prompt)
        for prompt, count in zip(pairs.prompts, tokens, strict=True)
    ]
    if wanted.soft_prompt_steps:
        tune_soft_prompt(
            tower,
            made.teacher.side.vectors(),
            requests,
            rows=made.rows,
            steps=wanted.soft_prompt_steps,
            seed=wanted.seed,
        )
    readings = torch.zeros(len(requests), READING)
    judged = np.unique(pairs.prompt_of[made.calibration])
    readings[judged] = torch.cat([tower.readings([requests[row]]) for row in judged])
    save(
        tower,
        calibrated_sides(made.rows.names, made.teacher.side.vectors(), readings, pairs, made.calibration),
        path,
    )
