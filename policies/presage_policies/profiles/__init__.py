"""Engine profiles that ship with Presage, and reading them: the one place of the brain that opens files."""

from importlib import resources
from pathlib import Path

import yaml

from presage_policies.engine import EngineProfile


def shipped_profiles() -> tuple[str, ...]:
    """Return the names of the profiles in this package."""
    files = resources.files(__package__).iterdir()
    return tuple(sorted(f.name.removesuffix(".yaml") for f in files if f.name.endswith(".yaml")))


def load_profile(name_or_path: str | Path) -> EngineProfile:
    """Read a shipped profile by name, or any profile by path (it ends in .yaml, .yml or .json, or has a /).

    Raises ValueError that names the profile and the key that is wrong, or lists what ships.
    """
    given = str(name_or_path)
    if "/" in given or given.endswith((".yaml", ".yml", ".json")):
        return _parsed(_read(Path(given)), given)
    if given not in shipped_profiles():
        raise ValueError(
            f"engine profile {given!r} is not shipped: use one of {', '.join(shipped_profiles())}, or a path"
        )
    return _parsed(resources.files(__package__).joinpath(f"{given}.yaml").read_text("utf-8"), given)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise ValueError(f"engine profile {path} cannot be read: {error.strerror}") from error


def _parsed(text: str, where: str) -> EngineProfile:
    try:
        mapping = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"engine profile {where} is not YAML: {error}") from error
    if not isinstance(mapping, dict):
        raise ValueError(f"engine profile {where} is {type(mapping).__name__}: give a mapping of keys")  # noqa: TRY004 - a bad file, not a bad program
    return EngineProfile.from_mapping(mapping, where=where)
