"""The committed slices and the plan made of them, as the demo itself reads them."""

from pathlib import Path

import numpy as np
import pytest
from presage_cli.demo.ablation import Ablation
from presage_cli.demo.plan import Plan
from presage_cli.demo.records import Outcome, RequestRecord
from presage_cli.demo.results import Run
from presage_cli.demo.schedule import build_schedule, offered_tokens
from presage_cli.demo.settings import make_plan
from presage_cli.demo.timeline import Timeline
from presage_cli.demo.traces import Lengths, Shape, read_lengths, read_shape

DATA = Path(__file__).resolve().parents[2] / "examples" / "demo" / "data"

START = 1_800_000_000.0
EARLY, LATE = ((-40, 1), (15, 2), (55, 3), (80, 4)), ((-40, 1), (45, 2), (92, 3), (110, 4))


@pytest.fixture(scope="session")
def shape() -> Shape:
    """Read the committed request rates."""
    return read_shape(DATA / "shape.csv")


@pytest.fixture(scope="session")
def lengths() -> Lengths:
    """Read the committed request lengths."""
    return read_lengths(DATA / "lengths.csv")


@pytest.fixture(scope="session")
def plan(lengths: Lengths) -> Plan:
    """Make the demo's plan."""
    return make_plan(lengths, "presage-demo")


@pytest.fixture(scope="session", params=list(Ablation))
def ablation(request: pytest.FixtureRequest, lengths: Lengths) -> Plan:
    """Make each plan in which the predictive service stands beside itself without something."""
    return make_plan(lengths, "presage-demo", request.param)


@pytest.fixture(scope="session")
def made_up(shape: Shape, lengths: Lengths, plan: Plan) -> Run:
    """Make a whole run up, without a cluster."""
    return made_up_run(shape, lengths, plan)


@pytest.fixture(scope="session")
def made_up_ablation(shape: Shape, lengths: Lengths, ablation: Plan) -> Run:
    """Make a whole run of an ablation up, without a cluster."""
    return made_up_run(shape, lengths, ablation)


def made_up_run(shape: Shape, lengths: Lengths, plan: Plan) -> Run:
    """Make a run in which the second service scales later and is slower while it lacks pods."""
    arrivals = build_schedule(shape, lengths, plan)
    offered = offered_tokens(arrivals, plan)
    timeline = Timeline(plan.service_names)
    for service, steps in zip(plan.service_names, (EARLY, LATE), strict=True):
        for at, replicas in steps:
            timeline.replicas_asked(service, replicas, START + at)
            timeline.pod_seen(service, f"{service}-{replicas}", START + at, ready=False)
            timeline.pod_seen(service, f"{service}-{replicas}", START + at + 12.5, ready=True)
        for second in range(0, int(plan.replay_seconds), 2):
            window = min(int((second + 12) // plan.window_seconds), len(offered) - 1)
            timeline.decision_seen(service, None, float(offered[window]) * 1.15, START + second)
    rng = np.random.default_rng(3)
    records = []
    for service in plan.service_names:
        for number, arrival in enumerate(arrivals):
            late = 1.0 if service == "predictive" else 1 + 9 * (35 < arrival.at < 125)
            ttft = float(rng.lognormal(np.log(180 * late), 0.5))
            records.append(
                RequestRecord(
                    service,
                    number,
                    arrival.at,
                    Outcome.COMPLETED,
                    200,
                    "",
                    0.4,
                    ttft,
                    float(rng.lognormal(np.log(28), 0.25)),
                    ttft + 30.0 * arrival.output_tokens,
                    arrival.prompt_tokens,
                    arrival.output_tokens,
                )
            )
    return Run(plan, START, tuple(map(float, offered)), tuple(records), timeline, 3.1, 11.0)
