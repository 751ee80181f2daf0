"""Predictions that can neither fail nor hold up a request."""

import asyncio
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from presage_cli.commands.router import _predictors
from presage_policies.lengths import LengthDistribution, RequestFeatures
from presage_predictors.history import HistoryLengthPredictor
from presage_predictors.lengths import artefact, tiers
from presage_router.config import ConfigError
from presage_router.front import lengths
from presage_router.front.lengths import Predictors, SafePredictor
from presage_router.metrics import Metrics

REQUEST = RequestFeatures("a", "m", 10, 500, "hello")


class Slow:
    """Answers when it is let; learns at once. Remembers in which threads it was asked."""

    def __init__(self, tokens: float = 33) -> None:
        self.tokens = tokens
        self.let = threading.Event()
        self.threads: set[int] = set()
        self.learnt: list[int] = []

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Wait to be let, then say the one length."""
        self.threads.add(threading.get_ident())
        self.let.wait(10)
        return LengthDistribution.constant(self.tokens)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Remember the length."""
        self.learnt.append(output_tokens)


class Broken:
    """Raises whatever it is asked."""

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Fail."""
        raise RuntimeError("no weights")

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Fail."""
        raise RuntimeError("no memory")


def value(metrics: Metrics, name: str) -> float:
    """Return a counter's value."""
    found = metrics.registry.get_sample_value(name, {"service": "s", "namespace": "n"})
    assert found is not None
    return found


async def test_a_prediction_in_time_is_the_learned_one() -> None:
    """A predictor with a fallback works in a thread of its own, and what it says in time serves, capped."""
    slow = Slow(900)
    slow.let.set()
    safe = SafePredictor(Predictors(slow, HistoryLengthPredictor(), in_thread=True), Metrics("s", "n"))
    assert (await safe.predict(REQUEST)).mean == 500
    assert threading.get_ident() not in slow.threads
    safe.close()


async def test_a_late_prediction_is_answered_from_history() -> None:
    """Whoever misses the deadline is answered by the fallback, which has learnt along, and counted."""
    slow, metrics = Slow(), Metrics("s", "n")
    safe = SafePredictor(Predictors(slow, HistoryLengthPredictor(), in_thread=True), metrics)
    for _ in range(100):
        safe.observe(REQUEST, 77)
    began = asyncio.get_running_loop().time()
    length = await safe.predict(REQUEST)
    assert asyncio.get_running_loop().time() - began < 1
    assert length.median == pytest.approx(77, rel=0.3)
    assert value(metrics, "presage_router_predictor_late_total") == 1
    slow.let.set()
    safe.close()


async def test_what_is_finished_is_learnt_in_the_thread() -> None:
    """Each observation reaches the predictor, and after those before it."""
    slow = Slow()
    slow.let.set()
    safe = SafePredictor(Predictors(slow, HistoryLengthPredictor(), in_thread=True), Metrics("s", "n"))
    for tokens in range(1, 21):
        safe.observe(REQUEST, tokens)
    await safe.predict(REQUEST)
    assert slow.learnt == list(range(1, 21))
    safe.close()


async def test_a_stuck_predictor_gathers_no_backlog() -> None:
    """While the thread is stuck, no more than the limit waits to be learnt, and requests go on."""
    slow = Slow()
    safe = SafePredictor(Predictors(slow, HistoryLengthPredictor(), in_thread=True), Metrics("s", "n"))
    await safe.predict(REQUEST)
    for tokens in range(1, 2 * lengths.MOST_UNLEARNT):
        safe.observe(REQUEST, tokens)
    slow.let.set()
    assert await asyncio.to_thread(safe._thread.submit(lambda: len(slow.learnt)).result, 5) == (
        lengths.MOST_UNLEARNT
    )
    safe.close()


@pytest.mark.parametrize("in_thread", [False, True])
@pytest.mark.parametrize("fallback", [None, HistoryLengthPredictor(), Broken()])
async def test_a_broken_predictor_fails_no_request(fallback: Broken | None, in_thread: bool) -> None:
    """What a predictor raises is counted, in the loop or in the thread, and something simpler serves."""
    metrics = Metrics("s", "n")
    safe = SafePredictor(Predictors(Broken(), fallback, in_thread), metrics)
    assert (await safe.predict(REQUEST)).median > 1
    safe.observe(REQUEST, 5)
    await asyncio.sleep(0.05 if in_thread else 0)
    broken = 2 if isinstance(fallback, Broken) else 1
    assert value(metrics, "presage_router_predictor_failures_total") == 2 * broken
    safe.close()


class Computing:
    """Takes so much of a core for each prediction."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def predict(self, features: RequestFeatures) -> LengthDistribution:
        """Compute for that time, then say one length."""
        began = time.thread_time()
        while time.thread_time() - began < self.seconds:
            pass
        return LengthDistribution.constant(3)

    def observe(self, features: RequestFeatures, output_tokens: int) -> None:
        """Learn nothing."""


def test_where_a_predictor_works_is_measured() -> None:
    """One that takes less of a core than the way to a thread is quick, another is not."""
    requests = [REQUEST] * 5
    assert lengths.quick(Computing(0.0), requests)
    assert not lengths.quick(Computing(2 * lengths.QUICK_SECONDS), requests)


async def test_a_quick_predictor_works_where_it_is_asked() -> None:
    """Without a thread prediction and learning happen at once, in the event loop's own."""
    quick = Slow()
    quick.let.set()
    safe = SafePredictor(Predictors(quick, HistoryLengthPredictor()), Metrics("s", "n"))
    await safe.predict(REQUEST)
    safe.observe(REQUEST, 7)
    assert quick.threads == {threading.get_ident()}
    assert quick.learnt == [7]


@pytest.mark.parametrize("name", ["History", "Prior", "Fast", "Auto"])
def test_every_predictor_of_the_configuration_can_be_built(name: str) -> None:
    """Each name gives a predictor that answers, and a learned one comes with a fallback that it is not."""
    built = _predictors(name)
    assert built.serving.predict(REQUEST).mean <= 500
    plain = name in {"History", "Prior"}
    assert (built.fallback is None) == (built.version == "") == plain
    assert built.fallback is not built.serving
    assert built.written is None
    assert not built.in_thread


def test_weights_of_ones_own_are_told_by_what_is_in_them(tmp_path: Path) -> None:
    """The same weights have one version wherever they are from, others another; a file has its date."""
    shipped = artefact.shipped()
    path = tmp_path / "own.safetensors"
    artefact.save(replace(shipped, facts={**shipped.facts, "seed": "77"}), path)
    own = _predictors("Auto", path)
    assert own.written == path.stat().st_mtime
    assert own.version != _predictors("Auto").version == shipped.version
    assert own.version == artefact.load(path).version


async def test_whose_word_it_is_is_counted() -> None:
    """Each prediction counts as one, shared among tiers by their weights; a late one is history's."""
    combined, metrics = tiers.combined(), Metrics("s", "n")
    safe = SafePredictor(Predictors(combined), metrics)
    expected = {"text": 0.0, "history": 0.0, "prior": 0.0}
    for _ in range(60):
        for tier, share in combined.shares(REQUEST).items():
            expected[tier] += share
        await safe.predict(REQUEST)
        safe.observe(REQUEST, 1777)
    assert expected["history"] > 2
    assert {tier: told(metrics, tier) for tier in expected} == pytest.approx(expected)
    slow, metrics = Slow(), Metrics("s", "n")
    safe = SafePredictor(Predictors(slow, HistoryLengthPredictor(), in_thread=True), metrics)
    await safe.predict(REQUEST)
    assert told(metrics, "history") == 1
    slow.let.set()
    safe.close()
    safe = SafePredictor(Predictors(Broken()), metrics)
    await safe.predict(REQUEST)
    assert told(metrics, "prior") == 1


def told(metrics: Metrics, tier: str) -> float:
    """Return how many predictions were a tier's."""
    labels = {"service": "s", "namespace": "n", "tier": tier}
    found = metrics.registry.get_sample_value("presage_router_predictions_total", labels)
    assert found is not None
    return found


def test_weights_are_shown() -> None:
    """The metrics page names the weights that predict, and when their file was written."""
    metrics = Metrics("s", "n")
    SafePredictor(Predictors(Broken(), version="abc", written=5.0), metrics)
    labels = {"service": "s", "namespace": "n", "version": "abc"}
    registry = metrics.registry
    assert registry.get_sample_value("presage_router_length_weights", labels) == 1
    assert registry.get_sample_value("presage_router_length_weights_written_timestamp_seconds", labels) == 5


def test_weights_of_ones_own_are_read_and_damaged_ones_refused(tmp_path: Path) -> None:
    """A file of weights serves as the shipped ones do; one that cannot be read is named before serving."""
    own, damaged = tmp_path / "own.safetensors", tmp_path / "damaged.safetensors"
    artefact.save(artefact.shipped(), own)
    assert _predictors("Fast", own).serving.predict(REQUEST) == _predictors("Fast").serving.predict(REQUEST)
    damaged.write_bytes(b"no weights")
    with pytest.raises(artefact.ArtefactError, match=r"damaged\.safetensors"):
        _predictors("Fast", damaged)


def test_a_sidecar_loads_what_reads_prompts_only_where_it_serves() -> None:
    """With History or Prior, as most sidecars are, nothing of what reads prompts is imported."""
    program = (
        "import sys; from presage_cli.commands.router import _predictors; "
        "_predictors('History'); _predictors('Prior'); print('presage_predictors.lengths' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"


def test_an_unknown_predictor_is_refused() -> None:
    """A name that is none is refused with the names that are."""
    with pytest.raises(ConfigError, match=r"'Oracle'.*History, Prior, Fast, Auto"):
        _predictors("Oracle")
