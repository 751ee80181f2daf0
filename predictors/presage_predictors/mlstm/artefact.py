"""The learned forecaster on disk: its members' weights, what they are and how they came to be."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING

from presage_predictors import tensors
from presage_predictors.mlstm.network import Network, Singles
from presage_predictors.tensors import ArtefactError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

FORMAT = "presage-mlstm-2"  # changes with the network's arithmetic or inputs
SHIPPED = "weights.safetensors"


@dataclass(frozen=True, slots=True)
class Artefact:
    """The members' weights and facts about them (`format`, `version`, `trained`, `seeds`, ...), all text."""

    members: tuple[dict[str, Singles], ...]
    facts: Mapping[str, str]

    def network(self) -> Network:
        """Return the network that these weights make."""
        return Network(self.members)

    @property
    def version(self) -> str:
        """Name of this training, as users read it."""
        return self.facts.get("version", "unnamed")


def shipped() -> Artefact:
    """Return the weights that come with the package."""
    return decoded(resources.files("presage_predictors.mlstm").joinpath(SHIPPED).read_bytes(), SHIPPED)


def load(path: Path) -> Artefact:
    """Read an artefact. Raises ArtefactError when it is missing, damaged or of another format."""
    return decoded(tensors.read(path), str(path))


def save(artefact: Artefact, path: Path) -> None:
    """Write an artefact in one step."""
    tensors.write(path, _named(artefact.members), {"format": FORMAT, **artefact.facts})


def encoded(members: Sequence[Mapping[str, Singles]], facts: Mapping[str, str]) -> bytes:
    """Return the bytes of the members' file."""
    return tensors.encoded(_named(members), {"format": FORMAT, **facts})


def decoded(data: bytes, source: str) -> Artefact:
    """Return the artefact in these bytes. Raises ArtefactError, naming `source`, when there is none."""
    arrays, facts = tensors.decoded(data, source)
    if facts.get("format") != FORMAT:
        raise ArtefactError(
            f"{source} has format {facts.get('format')!r}, this version reads {FORMAT!r}: train it again"
        )
    members: dict[str, dict[str, Singles]] = {}
    for name, array in arrays.items():
        number, _, tensor = name.partition(".")
        members.setdefault(number, {})[tensor] = array
    return Artefact(tuple(members[number] for number in sorted(members, key=int)), facts)


def _named(members: Sequence[Mapping[str, Singles]]) -> dict[str, Singles]:
    """Return every array by its name in the file, `MEMBER.NAME`."""
    return {
        f"{number}.{name}": array for number, member in enumerate(members) for name, array in member.items()
    }
