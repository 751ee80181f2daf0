"""What the demo is about to do, in one document that every part of it reads.

The demo, the history that Prometheus is filled with, the load generator's pod and the report must
agree on times, rates and objectives. They do, because each reads the same `Plan`, and nobody else
holds a figure. Nothing in a plan depends on how a run ended.
"""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic import ValidationError as PydanticError

SECONDS_PER_DAY = 86_400


class PlanError(ValueError):
    """A plan that cannot be read; the text names the field and what is wrong with it."""


class Frozen(BaseModel):
    """Documents of the demo: closed, and not to be changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServicePlan(Frozen):
    """One of the two services: all that may differ between them."""

    name: str = Field(pattern=r"^[a-z]([a-z0-9-]{0,30}[a-z0-9])?$")
    scaling_policy: Literal["PreServe", "HPA"]
    routing_policy: Literal["LeastBid", "LeastRequest"]
    forecast_model: Literal["Auto", "LastValue"] = Field(
        description="LastValue: load stays as it is, so nothing is foreseen"
    )
    length_predictor: Literal["History", "Prior"] = Field(
        description="Prior: every answer has the usual length, so nothing is predicted"
    )


class ObjectivesPlan(Frozen):
    """What counts as good service, for both."""

    ttft_milliseconds: int = Field(gt=0)
    tpot_milliseconds: int = Field(gt=0)
    percentile: int = Field(gt=0, lt=100)


class TracePlan(Frozen):
    """Which part of the series is replayed, in its own windows and seconds."""

    name: str
    window_seconds: float = Field(gt=0)
    first_window: int = Field(ge=0, description="index of the first window that counts")
    windows: int = Field(gt=0, description="how many windows count")
    lead_windows: int = Field(ge=0, description="windows replayed before them, which do not count")
    scale: float = Field(gt=0, description="seconds of the trace per second of the replay")


class CapacityPlan(Frozen):
    """What one instance stands by the engine model, in tokens per second."""

    prompt_tokens_per_second: float = Field(gt=0)
    output_tokens_per_second: float = Field(gt=0)

    @property
    def total(self) -> float:
        """Prompt and output tokens together."""
        return self.prompt_tokens_per_second + self.output_tokens_per_second


class Plan(Frozen):
    """A whole run."""

    namespace: str
    model: str
    profile: str
    services: tuple[ServicePlan, ServicePlan]
    objectives: ObjectivesPlan
    trace: TracePlan
    capacity: CapacityPlan
    peak_requests_per_second: float = Field(
        gt=0, description="arrivals at each service in the busiest window"
    )
    mean_prompt_tokens: float = Field(gt=0)
    mean_output_tokens: float = Field(gt=0)
    max_tokens: int = Field(gt=0, description="the limit that every request carries")
    min_replicas: int = Field(ge=1)
    max_replicas: int = Field(ge=1)
    interval_seconds: int = Field(ge=1)
    cold_start_seconds: float = Field(ge=0, description="emulated loading time, on top of a pod's own start")
    stream_interval: int = Field(ge=1)
    drain_limit_seconds: float = Field(gt=0, description="how long answers may take after the last arrival")
    seed: int

    @property
    def window_seconds(self) -> float:
        """Length of one window in the replay, in seconds."""
        return self.trace.window_seconds / self.trace.scale

    @property
    def day_seconds(self) -> float:
        """Length of one day in the replay, in seconds."""
        return SECONDS_PER_DAY / self.trace.scale

    @property
    def replay_seconds(self) -> float:
        """Length of the part that counts, in seconds."""
        return self.trace.windows * self.window_seconds

    @property
    def lead_seconds(self) -> float:
        """Length of the warm-up before it, in seconds."""
        return self.trace.lead_windows * self.window_seconds

    @property
    def service_names(self) -> tuple[str, str]:
        """The two names, predictive first."""
        return self.services[0].name, self.services[1].name

    def service(self, name: str) -> ServicePlan:
        """Return the service of that name, which must be one of the two."""
        return next(service for service in self.services if service.name == name)

    @property
    def is_ablation(self) -> bool:
        """Whether the second service is the first without something, rather than a reactive one."""
        return self.services[1].scaling_policy == self.services[0].scaling_policy


def load_plan(path: Path) -> Plan:
    """Read a plan; raises PlanError naming the file, the field, the value and what is wrong."""
    try:
        return Plan.model_validate_json(path.read_bytes())
    except OSError as error:
        raise PlanError(f"{path}: {error.strerror}; give the file that `presage demo` wrote") from error
    except PydanticError as error:
        first = error.errors()[0]
        field = ".".join(map(str, first["loc"])) or "the document"
        raise PlanError(f"{path}: {field} is {first.get('input')!r}: {first['msg']}") from error
