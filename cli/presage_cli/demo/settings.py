"""The demo's figures, each with its reason.

Both services get every one of them. What differs between the services is named first: the
predictive one, and what it is set beside.
"""

from presage_crds import Objectives as DefaultObjectives
from presage_policies.engine import sustainable_rates
from presage_policies.objectives import Objectives
from presage_policies.profiles import load_profile

from presage_cli.demo.ablation import Ablation
from presage_cli.demo.plan import CapacityPlan, ObjectivesPlan, Plan, ServicePlan, TracePlan
from presage_cli.demo.traces import Lengths

PREDICTIVE = ServicePlan(
    name="predictive",
    scaling_policy="PreServe",
    routing_policy="LeastBid",
    forecast_model="Auto",
    length_predictor="History",
)
REACTIVE = PREDICTIVE.model_copy(
    update={"name": "reactive", "scaling_policy": "HPA", "routing_policy": "LeastRequest"}
)


ABLATED = {
    Ablation.FORECASTS: PREDICTIVE.model_copy(
        update={"name": "without-forecasts", "forecast_model": "LastValue"}
    ),
    Ablation.LENGTHS: PREDICTIVE.model_copy(update={"name": "without-lengths", "length_predictor": "Prior"}),
}

MODEL = "meta-llama/Llama-3.1-8B-Instruct"
PROFILE = (
    "rtx4090-llama-3.1-8b"  # the smallest shipped: a few requests a second load it, as 2 cores must carry
)

# The API's own defaults: what a user gets who states nothing.
_DEFAULTS = DefaultObjectives()
OBJECTIVES = ObjectivesPlan(
    ttft_milliseconds=_DEFAULTS.ttft_milliseconds,
    tpot_milliseconds=_DEFAULTS.tpot_milliseconds,
    percentile=_DEFAULTS.percentile,
)

# 100 seconds of the trace in one: a day is 864 s, a 10-minute window 6 s. Tuesday 11:00 to 16:20 (32
# windows) is the morning's rise, the midday peak and the start of the fall, and takes 192 s.
TRACE = TracePlan(
    name="shape: Azure LLM inference 2024, code, Tuesday 2024-05-14 11:00-16:20 UTC, digitised; "
    "lengths: Azure LLM inference 2023, conversation, first 2,048 requests",
    window_seconds=600,
    first_window=4 * 144 + 66,
    windows=32,
    lead_windows=4,
    scale=100,
)

# Requests a second at each service in the busiest window: twice this is what two cores can emulate beside
# a cluster, and several times what one instance sustains, so that the rise takes several steps.
PEAK_REQUESTS_PER_SECOND = 6.5
MIN_REPLICAS = 1
MAX_REPLICAS = 5
INTERVAL_SECONDS = 2  # either policy decides this often, well within one window
COLD_START_SECONDS = 10  # loading a model, shortened from minutes but not by the full time scale
STREAM_INTERVAL = 8  # tokens a chunk, to spare the two cores; the same engine setting on both sides
MAX_TOKENS = 1024  # above the trace's longest answer (1,000), so a limit tells no policy any length
DRAIN_LIMIT_SECONDS = 60.0
SEED = 20240514


def make_plan(lengths: Lengths, namespace: str, without: Ablation | None = None) -> Plan:
    """Put the figures together; capacity follows from the engine model and the trace's lengths.

    The predictive service stands beside a reactive one, or beside itself `without` something.
    """
    prompt, output = float(lengths.prompt_tokens.mean()), float(lengths.output_tokens.mean())
    objectives = Objectives(
        OBJECTIVES.ttft_milliseconds / 1000, OBJECTIVES.tpot_milliseconds / 1000, OBJECTIVES.percentile
    )
    rates = sustainable_rates(load_profile(PROFILE), prompt, output, objectives)
    return Plan(
        namespace=namespace,
        model=MODEL,
        profile=PROFILE,
        services=(PREDICTIVE, REACTIVE if without is None else ABLATED[without]),
        objectives=OBJECTIVES,
        trace=TRACE,
        capacity=CapacityPlan(prompt_tokens_per_second=rates.prompt, output_tokens_per_second=rates.output),
        peak_requests_per_second=PEAK_REQUESTS_PER_SECOND,
        mean_prompt_tokens=prompt,
        mean_output_tokens=output,
        max_tokens=MAX_TOKENS,
        min_replicas=MIN_REPLICAS,
        max_replicas=MAX_REPLICAS,
        interval_seconds=INTERVAL_SECONDS,
        cold_start_seconds=COLD_START_SECONDS,
        stream_interval=STREAM_INTERVAL,
        drain_limit_seconds=DRAIN_LIMIT_SECONDS,
        seed=SEED,
    )
