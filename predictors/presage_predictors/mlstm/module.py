"""The network in torch, for training: an mLSTM memory of the past, read once for each step ahead.

The memory is the matrix memory of xLSTM (Beck et al., arXiv:2405.04517, section 2.3) in the form that gives
the last state in one product instead of a loop; PreServe (arXiv:2504.03702) forecasts load with such a
network. Ours: each step ahead reads the memory with a query of its own, and what comes out is no rate but
a mixture of simple forecasts (by their records, and what the network makes of them), a correction and the
distances between quantiles, in units of the recent error.
`network.py` is the same arithmetic in numpy.
"""

import torch
from torch import Tensor, nn

from presage_predictors.mlstm.shape import HEADS, HIDDEN, KERNEL, LOWER, OUTPUTS, VALUE, WIDTH
from presage_predictors.panel.experts import EXPERTS
from presage_predictors.panel.panel import RECORDS, SEQUENCE_CHANNELS, STEP_FEATURES
from presage_predictors.panel.record import MEMORIES


class MLSTM(nn.Module):  # type: ignore[misc]  # torch is absent where types are checked
    """From a View's `sequence` and `steps` to the quantiles of each step."""

    def __init__(self) -> None:
        super().__init__()
        inner = HEADS * VALUE
        self.embed = nn.Linear(SEQUENCE_CHANNELS, WIDTH)
        self.conv = nn.Conv1d(WIDTH, WIDTH, KERNEL)
        self.key = nn.Linear(WIDTH, inner, bias=False)
        self.value = nn.Linear(WIDTH, inner)
        self.gates = nn.Linear(WIDTH, 2 * HEADS)
        self.step = nn.Linear(STEP_FEATURES, HIDDEN)
        self.query = nn.Linear(HIDDEN, inner, bias=False)
        self.output_gate = nn.Linear(HIDDEN, inner)
        self.mix = nn.Linear(inner + HIDDEN, HIDDEN)
        self.deep = nn.Linear(HIDDEN, HIDDEN)
        self.out = nn.Linear(HIDDEN, OUTPUTS)
        self.trust = nn.Linear(len(MEMORIES), 1, bias=False)
        with torch.no_grad():
            self.gates.bias[HEADS:] = torch.linspace(2.0, 5.0, HEADS)  # memories of some and of many windows
            self.out.weight *= 0.1
            self.out.bias.zero_()
            self.trust.weight.fill_(1.5)

    def forward(self, sequence: Tensor, steps: Tensor, apart: Tensor) -> Tensor:
        """Return quantiles [rows, ahead, levels] in units from the last value.

        `apart` [rows, experts, ahead] is how far each expert's forecast is from the last value, in units.
        """
        state, total, smallest = self._remember(sequence)
        embedded = nn.functional.silu(self.step(steps))
        read = self._read(embedded, state, total, smallest)
        mixed = nn.functional.silu(self.mix(torch.cat([read, embedded], dim=2)))
        mixed = mixed + nn.functional.silu(self.deep(mixed))
        return quantiles(self.out(mixed), self._distrust(steps), apart)

    def _distrust(self, steps: Tensor) -> Tensor:
        """Return what each expert's record takes from its share, [rows, ahead, experts]."""
        records = steps[:, :, RECORDS].unflatten(2, (len(MEMORIES), len(EXPERTS)))
        return self.trust(records.transpose(2, 3))[..., 0]

    def _remember(self, sequence: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the memory [rows, heads, key, value], its normaliser [rows, heads, key] and exp(-m)."""
        rows, windows, _ = sequence.shape
        embedded = self.embed(sequence)
        padded = nn.functional.pad(embedded.transpose(1, 2), (KERNEL - 1, 0))
        mixed = nn.functional.silu(self.conv(padded).transpose(1, 2))
        keys = self.key(mixed).view(rows, windows, HEADS, VALUE) / VALUE**0.5
        values = self.value(embedded).view(rows, windows, HEADS, VALUE)
        gates = self.gates(mixed)
        forget = nn.functional.logsigmoid(gates[:, :, HEADS:])
        after = forget.flip(1).cumsum(1).flip(1) - forget  # what is forgotten of a window until the last
        weight = after + gates[:, :, :HEADS]
        largest = weight.amax(dim=1, keepdim=True)
        weighted = torch.exp(weight - largest)[..., None] * keys
        state = torch.einsum("rwhk,rwhv->rhkv", weighted, values)
        return state, weighted.sum(dim=1), torch.exp(-largest[:, 0])

    def _read(self, embedded: Tensor, state: Tensor, total: Tensor, smallest: Tensor) -> Tensor:
        rows, steps, _ = embedded.shape
        query = self.query(embedded).view(rows, steps, HEADS, VALUE)
        found = torch.einsum("rshk,rhkv->rshv", query, state)
        size = torch.einsum("rshk,rhk->rsh", query, total).abs()
        found = found / torch.maximum(size, smallest[:, None, :])[..., None]
        found = found / torch.sqrt((found**2).mean(dim=3, keepdim=True) + 1e-6)
        return torch.sigmoid(self.output_gate(embedded)) * found.reshape(rows, steps, -1)


def quantiles(raw: Tensor, distrust: Tensor, apart: Tensor) -> Tensor:
    """Turn the raw outputs [rows, ahead, OUTPUTS] into rising quantiles [rows, ahead, levels]."""
    experts = len(EXPERTS)
    mixture = torch.softmax(raw[:, :, :experts] - distrust, dim=2)
    median = (mixture * apart.transpose(1, 2)).sum(dim=2, keepdim=True) + raw[:, :, experts : experts + 1]
    gaps = nn.functional.softplus(raw[:, :, experts + 1 :])
    lower = median - gaps[:, :, :LOWER].cumsum(dim=2).flip(2)
    upper = median + gaps[:, :, LOWER:].cumsum(dim=2)
    return torch.cat([lower, median, upper], dim=2)
