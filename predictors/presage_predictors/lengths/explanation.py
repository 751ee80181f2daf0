"""Why a prompt is predicted as it is: the law, and what it would be without each word."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from presage_policies.lengths import LengthDistribution, RequestFeatures

from presage_predictors.lengths.artefact import Artefact
from presage_predictors.lengths.fast.network import FastTower
from presage_predictors.lengths.predictor import TextLengthPredictor
from presage_predictors.lengths.text import SIGNALS, read

MOST_SHOWN = 8  # words and signals
_CHARACTERS_PER_TOKEN = 4
_LEAST_SHIFT = 0.01  # a word that moves the median by less than a hundredth is not shown


def explanation(artefact: Artefact, prompt: str, model: str, max_tokens: int | None) -> Iterator[str]:
    """Yield lines of text: quantiles, the model's standing, the words and the signals that matter most."""
    predictor = TextLengthPredictor(FastTower(artefact.weights), artefact.sides, online=False)
    tokens = max(1, round(len(prompt) / _CHARACTERS_PER_TOKEN))
    request = RequestFeatures("", model, tokens, max_tokens, prompt)
    yield _quantiles(predictor.predict(request))
    request = replace(request, max_tokens=None)  # a cap would hide what words do
    whole = predictor.predict(request)
    known = model in artefact.sides.names
    yield f"model {model!r} is {'known' if known else 'unknown: its vector comes from its name'}"
    words = prompt.split()
    shifts = []
    for place, word in enumerate(words):
        without = " ".join(words[:place] + words[place + 1 :])
        median = predictor.predict(replace(request, prompt=without)).median
        shifts.append((float(np.log(whole.median / median)), word))
    for shift, word in sorted(shifts, key=lambda entry: -abs(entry[0]))[:MOST_SHOWN]:
        if abs(shift) >= _LEAST_SHIFT:
            yield f"  {word!r} makes the median {100 * np.expm1(shift):+.0f} %"
    signals = read(request).signals
    standard = (signals - artefact.weights.signal_mean) * artefact.weights.signal_scale
    for place in np.argsort(-np.abs(standard))[:MOST_SHOWN]:
        yield f"  {SIGNALS[place]}: {standard[place]:+.1f} standard deviations from the usual"


def _quantiles(length: LengthDistribution) -> str:
    shown = ", ".join(
        f"{100 * level:.0f} % within {tokens:.0f}"
        for level, tokens in zip(length.levels, length.tokens, strict=True)
    )
    return f"output tokens: {shown}"
