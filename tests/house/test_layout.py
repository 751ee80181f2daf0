"""The house's own rules, where no other tool keeps them."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("crds", "predictors", "policies", "operator", "router", "simulator", "sandbox", "cli")


def exported(extra: str) -> set[str]:
    """Names of the packages that `pip install presage[extra]` would install, from the lock file."""
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    packages = {package["name"]: package for package in lock["package"]}
    wanted: set[str] = set()
    todo = [("presage", (extra,))]
    while todo:
        name, extras = todo.pop()
        package = packages[name]
        wanted.add(name)
        dependencies = list(package.get("dependencies", []))
        for each in extras:
            dependencies += package.get("optional-dependencies", {}).get(each, [])
        todo += [
            (dependency["name"], tuple(dependency.get("extra", ())))
            for dependency in dependencies
            if dependency["name"] not in wanted or dependency.get("extra")
        ]
    return wanted


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_holds_one_package_named_after_it(room: str) -> None:
    """A room's folder holds exactly one package, typed, and is no package itself."""
    packages = [path.parent.name for path in (ROOT / room).glob("*/__init__.py")]
    assert packages == [f"presage_{room}"]
    assert (ROOT / room / f"presage_{room}" / "py.typed").exists()
    assert not (ROOT / room / "__init__.py").exists()


def test_the_guard_refuses_an_operator_package(tmp_path: Path) -> None:
    """The shell guard fails, with the fix, when operator/__init__.py exists, and passes without it."""
    (tmp_path / "make").mkdir()
    (tmp_path / "operator").mkdir()
    guard = tmp_path / "make" / "guard-operator.sh"
    guard.write_text((ROOT / "make" / "guard-operator.sh").read_text())
    assert subprocess.run(["sh", guard], check=False).returncode == 0
    (tmp_path / "operator" / "__init__.py").touch()
    refused = subprocess.run(["sh", guard], check=False, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "remove it" in refused.stderr


@pytest.mark.parametrize(
    ("extra", "absent"),
    [
        ("router", {"torch", "transformers", "kopf", "kubernetes", "prometheus-api-client"}),
        ("engine", {"torch", "transformers", "kopf", "kubernetes", "prometheus-api-client"}),
        ("operator", {"torch", "transformers", "uvloop"}),
    ],
)
def test_a_role_installs_only_what_it_uses(extra: str, absent: set[str]) -> None:
    """No extra pulls in what its role must not carry, followed through the lock file."""
    installed = exported(extra)
    assert "numpy" in installed
    assert not installed & absent


def test_every_dependency_says_why_it_is_there() -> None:
    """Each requirement in pyproject.toml stands on a line with its reason."""
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    requirements = [
        line for line in lines if re.match(r'\s+"[a-z0-9-]+(>=[^"]+)?",', line) and "types-" not in line
    ]
    requirements = [line for line in requirements if ">=" in line]
    assert len(requirements) > 15
    assert [line for line in requirements if " # " not in line] == []


def test_links_between_pages_lead_somewhere() -> None:
    """Every relative link in the README and docs/ names a file that exists."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    broken = [
        f"{page.relative_to(ROOT)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert broken == []
