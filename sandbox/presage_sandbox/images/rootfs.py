"""The root file system under every Python image: a Debian of the essential packages and Python.

mmdebstrap makes it from Debian's signed archive without a daemon and without a registry. It is kept
twice: as the lowest layer, and unpacked, because bytecode for the image must be compiled by the
image's own Python, whatever Python runs the sandbox.
"""

import dataclasses
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

from presage_sandbox.errors import SandboxError
from presage_sandbox.images.cache import cache_folder, forget_old, key_of
from presage_sandbox.images.oci import Layer
from presage_sandbox.progress import Progress

SUITE = "bookworm"
PACKAGES = ("python3", "ca-certificates", "libstdc++6")  # numpy is C++ and brings no libstdc++
# What a container never reads: half of the installed size. Removed at the end, since packages use
# some of it while they are installed.
LEFT_OUT = (
    "/usr/share/doc",
    "/usr/share/info",
    "/usr/share/lintian",
    "/usr/share/locale",
    "/usr/share/man",
    "/usr/share/perl",
    "/usr/lib/*/gconv",
    "/usr/lib/*/libperl.so.*",
    "/usr/lib/*/perl",
    "/usr/lib/python3*/lib2to3",
    "/usr/lib/python3*/pydoc_data",
    "/var/cache/debconf/*",
)
USER = "presage:x:65532:65532:Presage:/nonexistent:/usr/sbin/nologin"
GROUP = "presage:x:65532:"


@dataclasses.dataclass(frozen=True)
class RootFileSystem:
    """The lowest layer, and the same unpacked in `folder`."""

    layer: Layer
    folder: Path

    @property
    def python(self) -> str:
        """Its Python, as `3.11`."""
        return (self.folder / "usr/bin/python3").readlink().name.removeprefix("python")

    @property
    def site(self) -> str:
        """Where its Python looks for packages that Debian did not install; no leading slash."""
        return f"usr/local/lib/python{self.python}/dist-packages"

    def compile_bytecode(self, folder: Path) -> None:
        """Compile every module below `folder`, with the root file system's own Python.

        The bytecode is not checked against its source at import (an image does not change), which
        saves a stat per module. Python is started through the root file system's own loader, so this
        needs neither root nor chroot.
        """
        loader = next(iter(sorted(self.folder.glob("usr/lib/*-linux-gnu/ld-linux-*.so.*"))))
        command = [
            loader,
            "--library-path",
            loader.parent,
            self.folder / f"usr/bin/python{self.python}",
            "-I",
        ]
        command += ["-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash"]
        # The recorded file names, which tracebacks show, are those inside the image.
        command += ["-s", folder, "-p", f"/{self.site}", folder]
        done = subprocess.run(  # noqa: S603 - a program of our own root file system
            [str(each) for each in command],
            env={"PYTHONHOME": str(self.folder / "usr")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise SandboxError(f"compiling {folder} for the image failed:\n{done.stdout}{done.stderr}")


def root_file_system(progress: Progress) -> RootFileSystem:
    """Make the root file system, or take it from the cache.

    The environment variable PRESAGE_DEBIAN_MIRROR names another archive than Debian's own.
    SandboxError where mmdebstrap is missing or fails.
    """
    name = f"root-{key_of(SUITE, *PACKAGES, *LEFT_OUT, USER)}"
    tar, folder = cache_folder() / f"{name}.tar", cache_folder() / name
    if not tar.exists():
        with progress.step(
            f"making the root file system of the images (Debian {SUITE}, {', '.join(PACKAGES)})"
        ):
            _bootstrap(tar)
    if not folder.exists():
        with progress.step("unpacking the root file system"):
            _unpack(tar, folder)
        forget_old("root")
    return RootFileSystem(layer=Layer.of(tar), folder=folder)


def _bootstrap(tar: Path) -> None:
    program = shutil.which("mmdebstrap")
    if program is None:
        raise SandboxError("mmdebstrap is missing: sudo apt-get install --no-install-recommends mmdebstrap")
    draft = tar.with_suffix(".draft")
    command = [program, "--quiet", "--format=tar", "--variant=essential", f"--include={','.join(PACKAGES)}"]
    command += [f'--customize-hook=rm -rf "$1"{pattern}' for pattern in LEFT_OUT]
    command += [f'--customize-hook=echo "{USER}" >> "$1/etc/passwd"; echo "{GROUP}" >> "$1/etc/group"']
    command += [SUITE, str(draft), *filter(None, [os.environ.get("PRESAGE_DEBIAN_MIRROR")])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - argv is ours
    if done.returncode != 0:
        draft.unlink(missing_ok=True)
        tail = "\n".join(line[:200] for line in done.stderr.splitlines()[-15:])
        raise SandboxError(
            f"mmdebstrap could not make the root file system of Debian {SUITE}; where Debian's archive is "
            f"out of reach, name a mirror in PRESAGE_DEBIAN_MIRROR. It said:\n{tail}"
        )
    draft.replace(tar)


def _unpack(tar: Path, folder: Path) -> None:
    draft = folder.with_suffix(".draft")
    shutil.rmtree(draft, ignore_errors=True)
    with tarfile.open(tar) as archive:
        # Our own archive, whose links the image needs. Set as an attribute, since Python 3.11.2, which
        # Debian 12 has, knows no filters, and 3.14 has one by default that refuses absolute links.
        archive.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
        archive.extractall(draft, [each for each in archive if not each.isdev()])  # noqa: S202 - our own
    draft.rename(folder)
