"""What a transformer's shape says about its engine: the weights it loads and the KV cache that is left.

Shapes are those of each model's published `config.json`.
"""

from dataclasses import dataclass, fields
from typing import Any

WEIGHT_BYTES = {"bfloat16": 2.0, "float16": 2.0, "fp8": 1.0, "fp8_block": 1.0}
KV_BYTES = {"bfloat16": 2.0, "float16": 2.0, "fp8": 1.0}


@dataclass(frozen=True, slots=True)
class Architecture:
    """The shape of a dense decoder with gated MLP and grouped-query attention (Llama, Qwen and alike)."""

    layers: int
    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    intermediate: int
    vocabulary: int
    tied_embeddings: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "tied_embeddings" and (not isinstance(value, int) or value < 1):
                raise ValueError(f"architecture.{field.name} is {value!r}: give a whole number of 1 or more")

    @property
    def projections(self) -> tuple[tuple[int, int], ...]:
        """Output and input width of a layer's matrices: qkv, o, gate and up, down."""
        attention = self.heads * self.head_dim
        qkv = attention + 2 * self.kv_heads * self.head_dim
        return (
            (qkv, self.hidden),
            (self.hidden, attention),
            (2 * self.intermediate, self.hidden),
            (self.hidden, self.intermediate),
        )

    def weight_bytes(self, dtype: str) -> float:
        """Return the bytes of all weights: the layers' in `dtype`, embedding and output in 16 bits."""
        layers = self.layers * sum(out * into for out, into in self.projections)
        ends = (1 if self.tied_embeddings else 2) * self.vocabulary * self.hidden
        return layers * WEIGHT_BYTES[dtype] + ends * WEIGHT_BYTES["bfloat16"]

    def kv_bytes(self, dtype: str = "bfloat16") -> float:
        """Return the bytes of KV that one token takes over all layers and devices."""
        return 2 * self.layers * self.kv_heads * self.head_dim * KV_BYTES[dtype]


ARCHITECTURES = {
    "llama2-70b": Architecture(80, 8192, 64, 8, 128, 28672, 32000),
    "llama-2-70b": Architecture(80, 8192, 64, 8, 128, 28672, 32000),
    "llama-3-8b": Architecture(32, 4096, 32, 8, 128, 14336, 128256),
    "llama-3-70b": Architecture(80, 8192, 64, 8, 128, 28672, 128256),
    "llama-3.1-8b": Architecture(32, 4096, 32, 8, 128, 14336, 128256),
    "llama-3.1-70b": Architecture(80, 8192, 64, 8, 128, 28672, 128256),
    "llama-3.3-70b": Architecture(80, 8192, 64, 8, 128, 28672, 128256),
    "mistral-7b": Architecture(32, 4096, 32, 8, 128, 14336, 32768),
    "qwen2.5-7b": Architecture(28, 3584, 28, 4, 128, 18944, 152064),
    "qwen2.5-32b": Architecture(64, 5120, 40, 8, 128, 27648, 152064),
    "qwen3-8b": Architecture(36, 4096, 32, 8, 128, 12288, 151936),
    "qwen3-14b": Architecture(40, 5120, 40, 8, 128, 17408, 151936),
    "qwen3-32b": Architecture(64, 5120, 64, 8, 128, 25600, 151936),
}


def architecture_of(model: str) -> Architecture:
    """Return the shape of a model by its name, with or without its owner and `-Instruct`.

    Raises ValueError that lists the known ones.
    """
    name = model.rsplit("/", 1)[-1].lower()
    matches = [known for known in ARCHITECTURES if name == known or name.startswith(f"{known}-")]
    if not matches:
        raise ValueError(
            f"model {model!r} is not known: use one of {', '.join(ARCHITECTURES)}, "
            "or give its architecture as a YAML file"
        )
    return ARCHITECTURES[max(matches, key=len)]


def architecture_from(mapping: Any, where: str) -> Architecture:
    """Build a shape from parsed YAML. Raises ValueError naming the key and the fix."""
    names = [field.name for field in fields(Architecture)]
    if not isinstance(mapping, dict):
        raise ValueError(f"{where} is {type(mapping).__name__}: give a mapping with {', '.join(names)}")  # noqa: TRY004 - a bad file, not a bad program
    for key in mapping:
        if key not in names:
            raise ValueError(f"{where} has the unknown key {key!r}: known are {', '.join(names)}")
    for name in names[:-1]:
        if name not in mapping:
            raise ValueError(f"{where}.{name} is missing: add it")
    return Architecture(**mapping)


def kv_capacity(
    architecture: Architecture,
    *,
    memory_bytes: float,
    utilization: float,
    tensor_parallel: int,
    weights: str,
    kv: str,
    reserved_bytes: float,
) -> int:
    """Return how many tokens the KV cache holds: what the weights leave of the memory given to the engine.

    `memory_bytes` and `reserved_bytes` (activations, graphs, communication) are per device. Raises
    ValueError when nothing is left.
    """
    shard = architecture.weight_bytes(weights) / tensor_parallel
    left = memory_bytes * utilization - shard - reserved_bytes
    per_token = architecture.kv_bytes(kv) / min(tensor_parallel, architecture.kv_heads)
    tokens = int(left // per_token) // 16 * 16
    if tokens < 16:  # noqa: PLR2004 - one block
        raise ValueError(
            f"the weights take {shard / 1e9:.1f} GB of {memory_bytes * utilization / 1e9:.1f} GB a device, "
            "and leave no KV cache: raise the memory, the utilisation or the tensor-parallel degree"
        )
    return tokens
