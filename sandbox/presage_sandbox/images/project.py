"""The image of this project: root file system, locked dependencies, source.

Three layers by how often they change, so that a changed source file costs a second: the root file
system is kept by suite and packages, the dependencies by the lock file, and only the thin layer with
our own source is made anew. All modules are compiled: two cores that start a dozen pods have no time
to compile at each start.
"""

import importlib.metadata
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

from presage_sandbox.errors import SandboxError
from presage_sandbox.images.cache import cache_folder, forget_old, key_of, only_builder
from presage_sandbox.images.oci import Entry, Layer, Runs, folder_entries, write_image, write_layer
from presage_sandbox.images.rootfs import RootFileSystem, root_file_system
from presage_sandbox.progress import Progress

NAME = "presage.dev/presage:dev"
EXTRAS = ("router", "engine", "operator")  # the roles that run in pods; the load generator needs no more
PACKAGES = (
    "presage_cli",
    "presage_crds",
    "presage_operator",
    "presage_policies",
    "presage_predictors",
    "presage_router",
    "presage_sandbox",
    "presage_simulator",
)
COMMAND = """\
#!/usr/bin/python3
import sys

from presage_cli.main import app

sys.exit(app())
"""


def build(progress: Progress) -> Path:
    """Build `presage.dev/presage:dev` and return its archive.

    SandboxError where the checkout, uv or Debian's archive cannot be reached; it names the fix.
    """
    folder = cache_folder()
    with only_builder(folder, progress):
        root = root_file_system(progress)
        dependencies = _dependencies(root, progress)
        source = _source(root, folder)
        runs = Runs(
            entrypoint=("/usr/local/bin/presage",),
            environment={
                "PATH": "/usr/local/bin:/usr/bin:/bin",
                "LANG": "C.UTF-8",
                "PYTHONDONTWRITEBYTECODE": "1",
                "PYTHONUNBUFFERED": "1",
            },
        )
        return write_image(NAME, [root.layer, dependencies, source], runs, folder / "presage.tar")


def _dependencies(root: RootFileSystem, progress: Progress) -> Layer:
    """Install what uv.lock names for the roles that run in pods, hashes checked, as a layer."""
    wanted = requirements()
    tar = cache_folder() / f"dependencies-{key_of(wanted, root.layer.digest)}.tar"
    if tar.exists():
        return Layer.of(tar)
    with progress.step("installing the locked dependencies for the image"):
        folder = tar.with_suffix(".folder")
        shutil.rmtree(folder, ignore_errors=True)
        listed = tar.with_suffix(".txt")
        listed.write_text(wanted)
        options: list[str | Path] = [
            "--target",
            folder,
            "--python-version",
            root.python,
            "--link-mode",
            "copy",
            "--no-config",
        ]
        options += ["--require-hashes", "--only-binary", ":all:", "--requirements", listed]
        _uv(["pip", "install", "--quiet", *options])
        shutil.rmtree(
            folder / "bin", ignore_errors=True
        )  # commands with this machine's Python as interpreter
        root.compile_bytecode(folder)
        layer = write_layer(folder_entries(folder, root.site, leave_out=("tests", ".lock")), tar)
        shutil.rmtree(folder)
        forget_old("dependencies")
    return layer


def requirements() -> str:
    """Export the lock file for the roles in the image, with hashes."""
    extras = [part for extra in EXTRAS for part in ("--extra", extra)]
    options = ["--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
    return _uv(["export", "--quiet", "--project", _checkout(), *options, *extras])


def _checkout() -> Path:
    """Return the folder with uv.lock above this package; SandboxError outside a checkout."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "uv.lock").exists():
            return folder
    raise SandboxError(
        "the project's image is built from a checkout, and no uv.lock lies above "
        f"{Path(__file__).parent}: run `presage` from a clone, or load an image built elsewhere "
        "with `presage sandbox image load FILE`"
    )


def _uv(arguments: list[str | Path]) -> str:
    program = os.environ.get("UV") or shutil.which("uv") or shutil.which(_made_uv())
    if program is None:
        raise SandboxError(
            "uv is missing, which installs the image's dependencies: make env, or pip install uv"
        )
    # --no-python-downloads: the image brings its own Python; uv needs none for another platform's wheels.
    command = [program, "--no-python-downloads", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - argv is ours
    if done.returncode != 0:
        raise SandboxError(f"`uv {arguments[0]}` failed for the project's image:\n{done.stderr}")
    return done.stdout


def _made_uv() -> Path:
    """Where `make env` puts a uv of its own when none is on PATH."""
    return cache_folder().parent / "uv" / "bin" / "uv"


def _source(root: RootFileSystem, cache: Path) -> Layer:
    """Copy, compile and pack this project's packages as they are now."""
    folder = cache / "source"
    shutil.rmtree(folder, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(_package(package), folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    version = importlib.metadata.version("presage")
    about = folder / f"presage-{version}.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.1\nName: presage\nVersion: {version}\n")
    root.compile_bytecode(folder)
    entries = folder_entries(folder, root.site)
    entries.append(Entry("usr/local/bin/presage", content=COMMAND.encode(), mode=0o755))
    return write_layer(entries, cache / "source.tar")


def _package(name: str) -> Path:
    """Find a package without importing it (the sandbox must not import the shells)."""
    found = importlib.util.find_spec(name)
    if found is None or not found.submodule_search_locations:
        raise SandboxError(f"package {name} is not installed beside {sys.executable}: run `make env`")
    return Path(found.submodule_search_locations[0])
