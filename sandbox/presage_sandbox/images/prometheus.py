"""The image of Prometheus and promtool, from the sandbox's own static binaries.

For what runs in pods as users run it in theirs. There is no shell in it: commands are in exec form.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from presage_sandbox.images.cache import cache_folder, key_of
from presage_sandbox.images.oci import Entry, Runs, write_image, write_layer

NAME = "presage.dev/prometheus:dev"
PROGRAMS = ("prometheus", "promtool")
ACCOUNTS = (
    Entry("etc", mode=0o755),
    Entry("etc/passwd", content=b"nobody:x:65534:65534:nobody:/:/bin/prometheus\n"),
    Entry("etc/group", content=b"nogroup:x:65534:\n"),
)


def build(binaries: Mapping[str, Path]) -> Path:
    """Build `presage.dev/prometheus:dev` from `binaries` (names to static executables); its archive."""
    programs = {f"bin/{name}": binaries[name].resolve() for name in PROGRAMS}
    entries = (*ACCOUNTS, Entry("tmp", mode=0o1777), Entry("bin"), Entry("prometheus", mode=0o777))
    runs = Runs(entrypoint=("/bin/prometheus",), user="65534:65534", directory="/prometheus")
    return static_image(NAME, programs, entries, runs)


def static_image(name: str, programs: Mapping[str, Path], entries: Iterable[Entry], runs: Runs) -> Path:
    """Build an image of static programs (path in the image to file) and `entries`; cached by their state."""
    states = {path: (file, file.stat()) for path, file in programs.items()}
    stamps = [f"{path} {file} {state.st_size} {state.st_mtime_ns}" for path, (file, state) in states.items()]
    short = name.partition("/")[2].partition(":")[0]
    archive = cache_folder() / f"{short}-{key_of(repr(runs), *stamps)}.tar"
    if not archive.exists():
        contents = [*entries, *(Entry(path, source=file, mode=0o755) for path, file in programs.items())]
        layer = write_layer(contents, archive.with_suffix(".layer"))
        write_image(name, [layer], runs, archive)
        layer.tar.unlink()
    return archive
