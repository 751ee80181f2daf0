"""Writing a profile as the YAML that `--profile` reads."""

from dataclasses import asdict
from pathlib import Path

import yaml
from presage_policies.engine import EngineProfile

DIGITS = 5  # significant: a fit knows no more


def write_profile(profile: EngineProfile, path: Path) -> None:
    """Write a profile. Raises ValueError when the file cannot be written."""
    mapping = asdict(profile)
    coefficients = {name: _rounded(value) for name, value in mapping["coefficients"].items()}
    for name in ("host_seconds", "host_seconds_per_sequence"):
        mapping[name] = _rounded(mapping[name])
    mapping["coefficients"] = coefficients
    try:
        path.write_text(yaml.safe_dump(mapping, sort_keys=False, width=110, allow_unicode=True), "utf-8")
    except OSError as error:
        raise ValueError(f"{path}: cannot be written: {error.strerror}") from error


def _rounded(value: float) -> float:
    return float(f"{value:.{DIGITS}g}")
