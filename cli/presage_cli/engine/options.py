"""What a user may say about a fit beyond the tables, and what the tables' meta files say when they do not."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from presage_policies.fitting import (
    KV_BYTES,
    WEIGHT_BYTES,
    Architecture,
    EngineLimits,
    architecture_of,
    kv_capacity,
)

from presage_cli.engine.tables import Table

MEBIBYTE = 2**20
DEVICES = {  # a word of the device's name -> its memory in MiB, as the driver tells it
    "h200": 143_771,
    "h100": 81_559,
    "a100": 81_920,
    "b200": 183_359,
    "l40s": 46_068,
    "rtx4090": 24_564,
    "rtx5090": 32_607,
    "rtxpro6000": 97_887,
}
BUDGET = 2048  # vLLM's own default on most devices
SEQUENCES = 256


@dataclass(frozen=True, slots=True)
class FitOptions:
    """The flags of `presage engine fit`; None = as the tables' meta file says, or a default."""

    name: str | None = None
    model: str | None = None
    architecture: Architecture | None = None
    layers: int | None = None
    tensor_parallel: int | None = None
    dtype: str = "bfloat16"
    kv_dtype: str = "bfloat16"
    kv_capacity_tokens: int | None = None
    memory_gib: float | None = None
    utilization: float | None = None
    reserved_gb: float = 1.69
    block_tokens: int | None = None
    token_budget: int | None = None
    max_sequences: int | None = None
    host_milliseconds: float | None = None
    host_sequence_microseconds: float | None = None
    correct_prefill: bool = False
    host_step_only: bool = False
    all_reduce_microseconds: float | None = None
    all_reduce_gbs: float | None = None
    memory_bandwidth_gbs: float = 2700.0
    system: str | None = None
    backend: str | None = None
    hardware: str | None = None
    provenance: str = ""

    @property
    def overhead_terms(self) -> dict[str, bool]:
        """Which terms the overhead has that end-to-end points give."""
        return {"correct_prefill": self.correct_prefill, "step_only": self.host_step_only}

    @property
    def host_given(self) -> bool:
        """Whether the host's time is told rather than found."""
        return self.host_milliseconds is not None or self.host_sequence_microseconds is not None

    def __post_init__(self) -> None:
        for flag, value, known in (
            ("--dtype", self.dtype, WEIGHT_BYTES),
            ("--kv-dtype", self.kv_dtype, KV_BYTES),
        ):
            if value not in known:
                raise ValueError(f"{flag} is {value!r}: use one of {', '.join(known)}")
        for flag, number in (
            ("--tp", self.tensor_parallel),
            ("--layers", self.layers),
            ("--kv-capacity-tokens", self.kv_capacity_tokens),
            ("--memory-gib", self.memory_gib),
            ("--utilization", self.utilization),
            ("--token-budget", self.token_budget),
            ("--max-sequences", self.max_sequences),
            ("--all-reduce-us", self.all_reduce_microseconds),
            ("--all-reduce-gbs", self.all_reduce_gbs),
            ("--memory-bandwidth-gbs", self.memory_bandwidth_gbs),
        ):
            if number is not None and number <= 0:
                raise ValueError(f"{flag} is {number}: give a number above zero")


@dataclass(frozen=True, slots=True)
class Setting:
    """What is fitted: options and meta file brought together."""

    options: FitOptions
    meta: dict[str, Any]
    model: str
    device: str
    tensor_parallel: int

    @property
    def architecture(self) -> Architecture:
        """The model's shape. Raises ValueError when it is neither given nor known."""
        shape = self.options.architecture
        if shape is None:
            if not self.model:
                raise ValueError("the tables do not name their model: give --model, or --architecture")
            shape = architecture_of(self.model)
        if shape.heads % self.tensor_parallel:
            raise ValueError(
                f"--tp is {self.tensor_parallel}, which does not divide {shape.heads} heads: give a divisor"
            )
        return shape

    @property
    def layers(self) -> int:
        """How many layers the model has."""
        return self.options.layers or self.architecture.layers

    def limits(self) -> EngineLimits:
        """Return the engine's limits, with the KV capacity as given or by arithmetic."""
        return EngineLimits(
            kv_capacity_tokens=self.options.kv_capacity_tokens or self._derived_capacity(),
            max_sequences=self.options.max_sequences or self._effective("max_num_seqs", SEQUENCES),
            token_budget=self.options.token_budget or self._effective("max_num_batched_tokens", BUDGET),
        )

    @property
    def block_tokens(self) -> int:
        """Tokens of a KV block."""
        return self.options.block_tokens or self._effective("block_size", 16)

    @property
    def capacity_words(self) -> str:
        """Where the KV capacity comes from, as a profile states it."""
        if self.options.kv_capacity_tokens:
            return "the KV capacity is given"
        shape = self.architecture
        return (
            f"the KV capacity is arithmetic: {self._utilization:g} of {self._memory_gib:.1f} GiB, less "
            f"{shape.weight_bytes(self.options.dtype) / self.tensor_parallel / 1e9:.2f} GB of weights and "
            f"{self.options.reserved_gb:g} GB for all else, at "
            f"{shape.kv_bytes(self.options.kv_dtype) / self.tensor_parallel:,.0f} bytes a token"
        )

    def _derived_capacity(self) -> int:
        return kv_capacity(
            self.architecture,
            memory_bytes=self._memory_gib * 2**30,
            utilization=self._utilization,
            tensor_parallel=self.tensor_parallel,
            weights=self.options.dtype,
            kv=self.options.kv_dtype,
            reserved_bytes=self.options.reserved_gb * 1e9,
        )

    @property
    def _utilization(self) -> float:
        return self.options.utilization or float(self._effective("gpu_memory_utilization", 0.9))

    @property
    def _memory_gib(self) -> float:
        if self.options.memory_gib:
            return self.options.memory_gib
        plain = "".join(c for c in self.device.lower() if c.isalnum())
        for word, mebibytes in DEVICES.items():
            if word in plain:
                return mebibytes * MEBIBYTE / 2**30
        raise ValueError(
            f"how much memory the device {self.device or '(unnamed)'!r} has is not known: "
            "give --kv-capacity-tokens, or --memory-gib"
        )

    def _effective(self, key: str, default: Any) -> Any:
        value = (self.meta.get("engine_effective") or {}).get(key)
        return default if value is None else value


def setting_of(tables: Sequence[Table], metas: Sequence[dict[str, Any]], options: FitOptions) -> Setting:
    """Bring options, meta files and what the tables themselves tell together."""
    meta = metas[0] if metas else {}
    model = options.model or str(meta.get("model") or "") or _only(tables, ("model_path", "model"), "--model")
    device = str(meta.get("gpu") or "") or options.system or options.hardware or _device(tables)
    return Setting(options, meta, model, device, options.tensor_parallel or _degree(tables))


def _device(tables: Sequence[Table]) -> str:
    named = {value for table in tables for value in table.words("device") if value}
    named |= {table.path.name.split(".")[0] for table in tables} if not named else set()
    return min(named)


def _only(tables: Sequence[Table], columns: Sequence[str], flag: str) -> str:
    named = sorted(
        {value for table in tables for column in columns for value in table.words(column) if value}
    )
    if len(named) > 1:
        raise ValueError(f"the tables have {', '.join(named[:12])}: choose one with {flag}")
    return named[0] if named else ""


def _degree(tables: Sequence[Table]) -> int:
    """Return the tensor-parallel degree that the per-layer tables' names tell; 1 when they tell none."""
    degrees = sorted({degree for table in tables if (degree := degree_of(table)) is not None})
    if len(degrees) > 1:
        raise ValueError(
            f"the tables are of tensor-parallel degrees {', '.join(map(str, degrees))}: choose one with --tp"
        )
    return degrees[0] if degrees else 1


def degree_of(table: Table) -> int | None:
    """Return the degree in a per-layer table's name (…_tp2_…) or folder (…/tp2/…); None when it has none."""
    if table.kind not in {"attention", "dense", "per_sequence"}:
        return None
    words = table.path.name.replace("-", "_").replace(".", "_").split("_")
    for word in (*words, table.path.parent.name):
        if word.startswith("tp") and word[2:].isdigit():
            return int(word[2:])
    return None
