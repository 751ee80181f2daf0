"""The law of `lengths/law.py` in torch, and the losses that towers and vectors are trained by."""

import torch
from presage_policies.lengths import WIRE_LEVELS
from torch import Tensor

from presage_predictors.lengths import law

_LEVELS = torch.tensor(WIRE_LEVELS)
_SCORES = torch.tensor(law.SCORES, dtype=torch.float32)
_STEPS = torch.log(torch.expm1(torch.diff(_SCORES)))
_LONGEST_COUNTED = 9.0  # log tokens; a guess beyond counts as this in the tokens' error
_TOKENS_UNIT = 100.0  # errors in tokens count in hundreds
PINBALL_WEIGHT, TOKENS_WEIGHT, LOG_WEIGHT = 4.0, 0.5, 0.5


def middle(reading: Tensor, side: Tensor) -> Tensor:
    """Return the median's log tokens [rows] of readings [rows, READING] and vectors [rows, SIDE]."""
    factors = (reading[:, 1 : law.RANK] * side[:, 1 : law.RANK]).sum(1)
    return law.BASE + reading[:, 0] + side[:, 0] + factors


def log_quantiles(reading: Tensor, side: Tensor) -> Tensor:
    """Return log tokens [rows, levels]."""
    spread = torch.exp((law.SPREAD + reading[:, law.RANK] + side[:, law.RANK]).clamp(*law.SPREADS))
    shape = reading[:, law.RANK + 1 :]
    steps = torch.nn.functional.softplus(_STEPS + law.STEP_WEIGHT * shape[:, 1:])
    first = _SCORES[0] + law.FIRST_WEIGHT * shape[:, :1]
    places = torch.cat([first, first + torch.cumsum(steps, 1)], 1)
    return middle(reading, side)[:, None] + spread[:, None] * (places - places[:, law.MEDIAN, None])


def loss(quantiles: Tensor, log_tokens: Tensor, log_caps: Tensor, weights: Tensor) -> Tensor:
    """Return the sum of pinball loss in log tokens and the median's error in tokens and logs.

    `weights` [rows] say how much each row counts in the mean.
    """
    shares = weights / weights.sum()
    quantiles = torch.minimum(quantiles, log_caps[:, None])
    error = log_tokens[:, None] - quantiles
    pinball = shares @ torch.maximum(_LEVELS * error, (_LEVELS - 1) * error).mean(1)
    median = quantiles[:, law.MEDIAN]
    tokens = shares @ (median.clamp(max=_LONGEST_COUNTED).exp() - log_tokens.exp()).abs() / _TOKENS_UNIT
    logs = shares @ (median - log_tokens).abs()
    return PINBALL_WEIGHT * pinball + TOKENS_WEIGHT * tokens + LOG_WEIGHT * logs
