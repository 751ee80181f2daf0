"""What a load generator measured end to end, as mean iterations: fits a profile, or finds its host's time.

A closed loop of c clients keeps c sequences running. While one of them decodes, the others end and are
replaced at the same rate, so that a mean iteration holds c decodes and a share of their prefills. (Ours.)
"""

from dataclasses import dataclass

import numpy as np

from presage_policies.engine import IterationCoefficients
from presage_policies.fitting.samples import Floats, Samples, predicted

FULL = 0.95  # of the KV cache: beyond it sequences wait or are preempted and the mean iteration is another


@dataclass(frozen=True, slots=True, eq=False)
class ClosedLoop:
    """Points of equal requests: clients, tokens, and mean TTFT and TPOT in seconds; each of shape [n]."""

    clients: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    ttft: Floats
    tpot: Floats

    def fits(self, kv_capacity_tokens: float) -> "ClosedLoop":
        """Return the points whose requests fit the KV cache all at once."""
        kept = self.clients * (self.prompt_tokens + self.output_tokens) <= FULL * kv_capacity_tokens
        kept &= self.output_tokens > 1
        return ClosedLoop(*(getattr(self, name)[kept] for name in self.__slots__))

    def decoding(self) -> Samples:
        """Return the mean iteration of each point while a request decodes, with its TPOT as the time.

        Of the other clients' prefills, those count that fall into the request's decoding: the rest delay
        its first token instead.
        """
        c, prompt, output = self.clients, self.prompt_tokens, self.output_tokens
        steps = output - 1
        decoding = steps * self.tpot / (self.ttft + steps * self.tpot)
        prefills = (c - 1) * decoding / steps
        terms = np.stack(
            [
                np.ones_like(c),
                c + prefills * prompt,
                c + prefills,
                c * (prompt + output / 2),
                prefills * prompt**2 / 2,
            ],
            axis=1,
        )
        return Samples(terms, self.tpot, np.full(len(c), 1 / max(1, len(c))))

    def prefilling(self) -> Samples:
        """Return the prefill of each point with a single client, whose TTFT is that and nothing else."""
        alone = self.clients == 1
        prompt = self.prompt_tokens[alone]
        one = np.ones_like(prompt)
        terms = np.stack([one, prompt, one, 0 * one, prompt**2 / 2], axis=1)
        return Samples(terms, self.ttft[alone], np.full(len(prompt), 1 / max(1, len(prompt))))


@dataclass(frozen=True, slots=True, eq=False)
class StaticBatches:
    """Batches that are prefilled at once and then decoded to the end; each shape [n], times in seconds."""

    batch: Floats
    prompt_tokens: Floats
    output_tokens: Floats
    prompt_seconds: Floats
    token_seconds: Floats

    def samples(self) -> Samples:
        """Return the prefill and the mean decode step of each batch."""
        b, prompt, output = self.batch, self.prompt_tokens, self.output_tokens
        one = np.ones_like(b)
        prefill = np.stack([one, b * prompt, b, 0 * b, b * prompt**2 / 2], axis=1)
        decode = np.stack([one, b, b, b * (prompt + output / 2), 0 * b], axis=1)
        return together(
            Samples(prefill, self.prompt_seconds, one / len(b)),
            Samples(decode, self.token_seconds, one / len(b)),
        )


def together(*parts: Samples) -> Samples:
    """Return the rows of all of them."""
    return Samples(
        np.concatenate([part.terms for part in parts]),
        np.concatenate([part.seconds for part in parts]),
        np.concatenate([part.weights for part in parts]),
    )


@dataclass(frozen=True, slots=True)
class Overhead:
    """What an engine takes beyond its device's kernels, in seconds.

    `per_iteration` and `per_sequence` are the host's. `per_token` corrects the kernels of a prefill, and is
    negative where the engine overlaps or fuses what the tables time alone.
    """

    per_iteration: float
    per_sequence: float = 0.0
    per_token: float = 0.0

    def added_to(self, c: IterationCoefficients) -> IterationCoefficients:
        """Return the coefficients of the whole engine; a correction touches prefilled tokens only."""
        return IterationCoefficients(
            c.fixed + self.per_iteration,
            c.per_token + self.per_token,
            c.per_sequence + self.per_sequence - self.per_token,
            c.per_kv_token,
            c.per_prefill_attention,
        )


def overhead(
    device: IterationCoefficients,
    measured: Samples,
    *,
    correct_prefill: bool = False,
    step_only: bool = False,
) -> Overhead:
    """Return the overhead that explains best what end-to-end points take beyond the device's iterations.

    Least squares of the relative error; the host's terms are not negative. `step_only` charges all of the
    host's time to the iteration. Raises ValueError without points.
    """
    if not len(measured.seconds):
        raise ValueError("no end-to-end point fits the KV cache: give more of them, or the host time itself")
    missing = 1 - predicted(device, measured.terms) / measured.seconds
    host = measured.terms[:, [0, 2]]
    prefilled = (measured.terms[:, 1] - measured.terms[:, 2])[:, None]
    columns = np.concatenate([host, prefilled], axis=1) / measured.seconds[:, None]
    always = (2,) if correct_prefill else ()
    best, least = Overhead(0.0), np.inf
    sets: tuple[tuple[int, ...], ...] = ((0,), ()) if step_only else ((0, 1), (0,), (1,), ())
    for chosen in sets:  # of the host's terms, those that may be above zero
        used = [*chosen, *always]
        part, *_ = np.linalg.lstsq(columns[:, used], missing, rcond=None)
        left = float(np.sum((columns[:, used] @ part - missing) ** 2))
        if left < least and (part[: len(chosen)] >= 0).all():
            terms = np.zeros(3)
            terms[used] = part
            best, least = Overhead(*(float(term) for term in terms)), left
    return best
