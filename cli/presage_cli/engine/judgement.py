"""How well a profile meets what was measured end to end."""

from collections.abc import Mapping
from dataclasses import dataclass

from presage_policies.engine import IterationCoefficients
from presage_policies.fitting import ClosedLoop, judged, overhead, predicted


@dataclass(frozen=True, slots=True)
class PointError:
    """One end-to-end point: clients, tokens, and its TPOT as measured and as modelled, seconds."""

    clients: int
    prompt_tokens: int
    output_tokens: int
    measured: float
    modelled: float

    @property
    def error(self) -> float:
        """Signed, as a fraction of what was measured."""
        return self.modelled / self.measured - 1

    @property
    def words(self) -> str:
        """The point on one line."""
        return (
            f"{self.clients:4d} clients, {self.prompt_tokens:6d} prompt and {self.output_tokens:6d} output "
            f"tokens: TPOT {self.measured * 1e3:7.2f} ms, modelled {self.modelled * 1e3:7.2f} ms "
            f"({self.error:+.1%})"
        )


def point_errors(coefficients: IterationCoefficients, points: ClosedLoop) -> tuple[PointError, ...]:
    """Return each point's TPOT, measured and modelled."""
    samples = points.decoding()
    columns = (
        points.clients,
        points.prompt_tokens,
        points.output_tokens,
        samples.seconds,
        predicted(coefficients, samples.terms),
    )
    return tuple(
        PointError(int(clients), int(prompt), int(output), float(real), float(model))
        for clients, prompt, output, real, model in zip(*columns, strict=True)
    )


def crossed_error(
    device: IterationCoefficients, points: ClosedLoop, terms: Mapping[str, bool]
) -> float | None:
    """Return the mean absolute TPOT error of points whose prompt length the overhead was not fitted to.

    `terms` says which terms the overhead has (see `overhead`). None when all points have one prompt length.
    """
    lengths = sorted(set(points.prompt_tokens))
    if len(lengths) == 1:
        return None
    samples = points.decoding()
    total = 0.0
    for length in lengths:
        held = points.prompt_tokens == length
        extra = overhead(device, samples.where(~held), **terms)
        total += judged(extra.added_to(device), samples.where(held)).error * int(held.sum())
    return total / len(samples.seconds)
