"""The live view: what a scene holds, how it reads on a terminal and in a log."""

import io
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st
from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Progress, RequestRecord
from presage_cli.demo.results import Run
from presage_cli.demo.scene import Scene, scene_of
from presage_cli.demo.timeline import Timeline
from presage_cli.demo.view import BARS, live_view, picture, plain_line, sparkline
from rich.console import Console


@dataclass
class Seen:
    """What an observer offers to the view."""

    timeline: Timeline
    progress: Progress | None
    records: list[RequestRecord]


def scene_at(run: Run, at: float) -> Scene:
    """Work the scene out as it was `at` seconds into a made-up run."""
    answered = [record for record in run.records if record.at + (record.e2e_ms or 0) / 1000 < at]
    seen = Seen(run.timeline, Progress(at, 9, 17, 3.0, 8.0, finished=False), answered)
    return scene_of(seen, run.plan, run.offered_tokens_per_second, run.starts_at, run.starts_at + at)


def test_a_scene_tells_the_present(made_up: Run, plan: Plan) -> None:
    """At 60 s one service has 2 pods ready and a third coming, the other asks for its second."""
    scene = scene_at(made_up, 60.0)
    predictive, reactive = scene.services
    assert (predictive.ready_now, reactive.ready_now) == (2, 2)
    assert len(predictive.load) == 11
    assert predictive.load == made_up.offered_tokens_per_second[:11]
    assert predictive.attainment is not None
    assert reactive.attainment is not None
    assert predictive.attainment > reactive.attainment
    assert scene.left == plan.replay_seconds - 60
    assert scene.clock == "Tue 12:40"


def test_before_and_after_the_part_that_counts(made_up: Run, plan: Plan) -> None:
    """Warm-up says when counting begins; afterwards the view waits for the last answers."""
    assert "warm-up, counts in 7 s" in plain_line(scene_at(made_up, -7.0))
    assert "last answers" in plain_line(scene_at(made_up, plan.replay_seconds + 3))
    assert scene_at(made_up, -7.0).services[0].load == ()


def test_a_terminal_shows_both_services(made_up: Run) -> None:
    """Both columns with their policies, load, replicas, latency and attainment fit 120 characters."""
    console = Console(file=io.StringIO(), width=120)
    console.print(picture(scene_at(made_up, 100.0)))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO given above
    for text in ("predictive", "PreServe + LeastBid", "reactive", "HPA + LeastRequest", "TTFT", "forecast"):
        assert text in shown
    assert "s left" in shown
    assert any(bar in shown for bar in BARS)


def test_a_log_gets_plain_lines_rarely(made_up: Run) -> None:
    """Not on a terminal, scenes that follow each other at once make one line without control codes."""
    stream = io.StringIO()
    with live_view(stream) as show:
        for _ in range(5):
            show(scene_at(made_up, 50.0))
    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
    assert "predictive 2/" in stream.getvalue()


@given(st.lists(st.floats(min_value=0, max_value=100), max_size=40), st.floats(min_value=1, max_value=100))
def test_a_sparkline_has_one_bar_a_value(values: list[float], top: float) -> None:
    """Every value has one bar, higher for no lower value, whatever lies above the top."""
    line = sparkline(values, top)
    assert len(line) == len(values)
    ranked = sorted(zip(values, line, strict=True))
    heights = [BARS.index(bar) for _, bar in ranked]
    assert heights == sorted(heights)


@pytest.mark.parametrize("at", [-30.0, 0.0, 191.9, 300.0])
def test_a_scene_never_fails(made_up: Run, at: float) -> None:
    """At the edges of a run, and with nothing seen at all, there is a scene."""
    assert picture(scene_at(made_up, at))
    empty = Seen(Timeline(made_up.plan.service_names), None, [])
    assert plain_line(scene_of(empty, made_up.plan, made_up.offered_tokens_per_second, 0.0, at))
