"""Images that hold static programs and hardly anything else."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from presage_sandbox.images.cache import cache_folder, forget_old, key_of
from presage_sandbox.images.oci import Entry, Runs, write_image, write_layer


def static_image(name: str, programs: Mapping[str, Path], entries: Iterable[Entry], runs: Runs) -> Path:
    """Build an image of static programs (path in the image to file) and `entries`; return its archive.

    Kept in the cache until a program changes.
    """
    states = {path: (file, file.stat()) for path, file in programs.items()}
    stamps = [f"{path} {file} {state.st_size} {state.st_mtime_ns}" for path, (file, state) in states.items()]
    short = name.partition("/")[2].partition(":")[0]
    archive = cache_folder() / f"{short}-{key_of(name, repr(runs), *stamps)}.tar"
    if not archive.exists():
        contents = [*entries, *(Entry(path, source=file, mode=0o755) for path, file in programs.items())]
        layer = write_layer(contents, archive.with_suffix(".layer"))
        write_image(name, [layer], runs, archive)
        layer.tar.unlink()
        layer.tar.with_suffix(".digest").unlink()
        forget_old(short)
    return archive
