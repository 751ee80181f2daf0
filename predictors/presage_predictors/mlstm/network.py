"""The network in numpy: what runs where no torch is. The same arithmetic as `module.py`, proved by a test."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from presage_predictors.mlstm.shape import HEADS, KERNEL, LOWER, VALUE
from presage_predictors.panel.experts import EXPERTS
from presage_predictors.panel.panel import RECORDS
from presage_predictors.panel.record import MEMORIES
from presage_predictors.panel.view import View

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]
Weights = Mapping[str, Singles]

FARTHEST = 60.0  # units: an expert further from the last value is taken to be this far
LARGEST_EXPONENT = np.float32(80.0)  # beyond, single precision overflows; so large, nothing is left to read
CHUNK_ROWS = 256  # rows at a time, so that what lies between the layers stays in the cache


def apart(view: View) -> Singles:
    """Return how far each expert's forecast is from the last value, in units, [rows, experts, ahead]."""
    far = (view.said - view.said[:, :1]) / view.unit[:, None]
    return np.asarray(np.clip(far, -FARTHEST, FARTHEST), dtype=np.float32)


class Network:
    """An ensemble of equal networks with different weights; its quantiles are the members' mean."""

    def __init__(self, members: Sequence[Weights]) -> None:
        if not members:
            raise ValueError("the network has no members: give the weights of at least 1")
        self._members = tuple(members)

    def quantiles(self, view: View) -> Floats:
        """Return the rates' quantiles, [rows, ahead, levels]; NaN for a row that has never had a rate."""
        parts = [
            self._units(view.rows(slice(begin, begin + CHUNK_ROWS)))
            for begin in range(0, len(view.said), CHUNK_ROWS)
        ]
        last = view.said[:, 0][:, :, None]
        return np.asarray(np.maximum(last + np.concatenate(parts) * view.unit[:, :, None], 0.0))

    def _units(self, view: View) -> Floats:
        distance = apart(view)
        made = [forward(member, view.sequence, view.steps, distance) for member in self._members]
        return np.asarray(np.mean(made, axis=0), dtype=np.float64)


def forward(weights: Weights, sequence: Singles, steps: Singles, distance: Singles) -> Singles:
    """Return quantiles [rows, ahead, levels] in units from the last value, as `module.MLSTM.forward`."""
    state, total, smallest = _remember(weights, sequence)
    embedded = _silu(_linear(weights, "step", steps))
    read = _read(weights, embedded, state, total, smallest)
    mixed = _silu(_linear(weights, "mix", np.concatenate([read, embedded], axis=2)))
    mixed = mixed + _silu(_linear(weights, "deep", mixed))
    records = steps[:, :, RECORDS].reshape(*steps.shape[:2], len(MEMORIES), len(EXPERTS))
    distrust = np.einsum("rsme,m->rse", records, weights["trust.weight"][0])
    return _rising(_linear(weights, "out", mixed), distrust, distance)


def _remember(weights: Weights, sequence: Singles) -> tuple[Singles, Singles, Singles]:
    rows, windows, _ = sequence.shape
    embedded = _linear(weights, "embed", sequence)
    mixed = _silu(_convolved(weights, embedded))
    keys = (mixed @ weights["key.weight"].T).reshape(rows, windows, HEADS, VALUE) * np.float32(VALUE**-0.5)
    values = _linear(weights, "value", embedded).reshape(rows, windows, HEADS, VALUE)
    gates = _linear(weights, "gates", mixed)
    forget = -np.logaddexp(np.float32(0), -gates[:, :, HEADS:])
    weight = forget[:, ::-1].cumsum(axis=1)[:, ::-1] - forget + gates[:, :, :HEADS]
    largest = weight.max(axis=1, keepdims=True)
    weighted = np.exp(weight - largest)[..., None] * keys
    state = weighted.transpose(0, 2, 3, 1) @ values.transpose(0, 2, 1, 3)
    return state, weighted.sum(axis=1), np.exp(np.minimum(-largest[:, 0], LARGEST_EXPONENT))


def _convolved(weights: Weights, embedded: Singles) -> Singles:
    rows, windows, width = embedded.shape
    padded = np.zeros((rows, windows + KERNEL - 1, width), dtype=np.float32)
    padded[:, KERNEL - 1 :] = embedded
    kernel = weights["conv.weight"]  # [out, in, kernel]
    made = sum(padded[:, tap : tap + windows] @ kernel[:, :, tap].T for tap in range(KERNEL))
    return np.asarray(made + weights["conv.bias"])


def _read(weights: Weights, embedded: Singles, state: Singles, total: Singles, smallest: Singles) -> Singles:
    rows, steps, _ = embedded.shape
    query = (embedded @ weights["query.weight"].T).reshape(rows, steps, HEADS, VALUE).transpose(0, 2, 1, 3)
    size = np.abs(query @ total[..., None])
    found = (query @ state) / np.maximum(size, smallest[:, :, None, None])
    found = found / np.sqrt((found**2).mean(axis=3, keepdims=True) + np.float32(1e-6))
    gate = _sigmoid(_linear(weights, "output_gate", embedded))
    return np.asarray(gate * found.transpose(0, 2, 1, 3).reshape(rows, steps, -1))


def _rising(raw: Singles, distrust: Singles, distance: Singles) -> Singles:
    experts = len(EXPERTS)
    liking = raw[:, :, :experts] - distrust
    share = np.exp(liking - liking.max(axis=2, keepdims=True))
    share = share / share.sum(axis=2, keepdims=True)
    median = (share * distance.transpose(0, 2, 1)).sum(axis=2, keepdims=True)
    median = median + raw[:, :, experts : experts + 1]
    gaps = np.logaddexp(np.float32(0), raw[:, :, experts + 1 :])
    lower = median - gaps[:, :, :LOWER].cumsum(axis=2)[:, :, ::-1]
    upper = median + gaps[:, :, LOWER:].cumsum(axis=2)
    return np.concatenate([lower, median, upper], axis=2)


def _linear(weights: Weights, name: str, inputs: Singles) -> Singles:
    return np.asarray(inputs @ weights[f"{name}.weight"].T + weights[f"{name}.bias"])


def _sigmoid(inputs: Singles) -> Singles:
    return np.asarray(np.float32(0.5) * (np.tanh(np.float32(0.5) * inputs) + 1))


def _silu(inputs: Singles) -> Singles:
    return np.asarray(inputs * _sigmoid(inputs))
