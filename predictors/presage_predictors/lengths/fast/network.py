"""The fast tier's arithmetic: words to vectors, weighted means, three layers.

`training/student.py` is the same in torch.

Word vectors begin as the encoder's own, so a word that training never saw still means something. (The form is
ours; word vectors taken from a sentence encoder as in model2vec.)
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from presage_policies.lengths import RequestFeatures

from presage_predictors.lengths.law import Vector
from presage_predictors.lengths.text import ENDING_WORDS, MOST_WORDS, OPENING_WORDS, Reading, read

WORD_WIDTH = 96
PAIR_WIDTH = 16
POOLED = 3 * WORD_WIDTH + PAIR_WIDTH
EPSILON = 1e-4  # keeps a mean over nothing finite
NORM_EPSILON = 1e-5
_PARTS = (slice(None), slice(OPENING_WORDS), slice(-ENDING_WORDS, None))
_ONES = np.ones(MOST_WORDS, np.float32)  # a sum as a product: counts so small are exact in single precision
_LEAST_EXPONENT = -60.0  # below, the activation is nothing and its exponential overflows

Singles = NDArray[np.float32]


@dataclass(frozen=True)
class Weights:
    """Tables and layers; `words` and `pairs` are int8 times their scales."""

    words: NDArray[np.int8]  # [WORD_ROWS, WORD_WIDTH]
    word_scale: Singles  # [WORD_WIDTH]
    attention: Singles  # [WORD_ROWS]: a word's weight in means, less for common words
    pairs: NDArray[np.int8]  # [PAIR_ROWS, PAIR_WIDTH]
    pair_scale: Singles  # [PAIR_WIDTH]
    signal_mean: Singles  # [signals]
    signal_scale: Singles  # [signals]
    first: Singles  # [inputs + 1, hidden]; the last row is the bias, in the other layers as well
    second: Singles  # [hidden + 1, hidden]
    last: Singles  # [hidden + 1, READING]


class FastTower:
    """Reads a prompt in some hundred microseconds."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights

    def read(self, features: RequestFeatures) -> Vector:
        """Return the reading [READING] of a request's prompt."""
        return self.forward(read(features))

    def forward(self, reading: Reading) -> Vector:
        """Return the network's output for what was read of a prompt."""
        last = self._weights.last
        output: Vector = (self.hidden(reading) @ last[:-1] + last[-1]).astype(np.float64)
        return output

    def hidden(self, reading: Reading) -> Singles:
        """Return the last layer's inputs [hidden]: what heads of any kind are put on."""
        weights = self._weights
        inputs = np.concatenate(
            [
                _normed(self._pooled(reading)),
                (reading.signals - weights.signal_mean) * weights.signal_scale,
            ]
        )
        hidden = _silu(inputs @ weights.first[:-1] + weights.first[-1])
        return _silu(hidden @ weights.second[:-1] + weights.second[-1])

    def _pooled(self, reading: Reading) -> Singles:
        """Return the words' means over prompt, opening and ending, and the pairs' sum over √n."""
        weights = self._weights
        count = len(reading.pairs)
        pairs = _ONES[:count] @ weights.pairs.take(reading.pairs, axis=0).astype(np.float32)
        pairs *= weights.pair_scale / np.sqrt(max(1, count))
        means = word_means(weights.words, weights.word_scale, weights.attention, reading.words)
        return np.concatenate([means, pairs])


def word_means(
    table: NDArray[np.int8], scale: Singles, attention: Singles, words: NDArray[np.int64]
) -> Singles:
    """Return weighted means of word vectors [3 * WORD_WIDTH]: over all words, the first and the last ones.

    The weights are those of smooth inverse frequency (Arora et al., ICLR 2017).
    """
    vectors = table.take(words, axis=0).astype(np.float32)
    weights = attention.take(words)
    means = np.empty((3, table.shape[1]), np.float32)
    for mean, part in zip(means, _PARTS, strict=True):
        chosen = weights[part]
        np.divide(chosen @ vectors[part], np.add.reduce(chosen) + EPSILON, out=mean)
    means *= scale
    return means.ravel()


def _normed(values: Singles) -> Singles:
    centred = values - np.add.reduce(values) / len(values)
    normed: Singles = centred / np.sqrt(centred @ centred / len(values) + NORM_EPSILON)
    return normed


def _silu(values: Singles) -> Singles:
    exponent = np.maximum(values, _LEAST_EXPONENT)
    np.negative(exponent, exponent)
    np.exp(exponent, exponent)
    exponent += 1
    active: Singles = np.divide(values, exponent, exponent)
    return active
