"""The Dockerfile builds what the distribution holds: every package, known roles, no root."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
ROOMS = {Path(path).parts[0] for path in PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]}


def test_every_package_is_copied_and_not_ignored() -> None:
    """Each room that the wheel holds is copied, and .dockerignore lets it and the other sources through."""
    copied = {
        source
        for line in DOCKERFILE.splitlines()
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    let_through = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert copied >= ROOMS
    assert copied == let_through


def test_roles_are_extras_of_the_project() -> None:
    """The default roles are extras that exist, and none of those only a development machine needs."""
    (roles,) = re.findall(r'^ARG ROLES="([^"]+)"$', DOCKERFILE, re.MULTILINE)
    assert set(roles.split()) <= set(PROJECT["project"]["optional-dependencies"])
    assert not {"sandbox", "demo"} & set(roles.split())


def test_the_image_runs_as_no_root_under_the_charts_user() -> None:
    """The image's user is the one that the chart's Deployment names."""
    (user,) = re.findall(r"^USER (\d+):\d+$", DOCKERFILE, re.MULTILINE)
    deployment = (ROOT / "charts" / "presage" / "templates" / "deployment.yaml").read_text()
    assert f"runAsUser: {user}" in deployment
