"""The image of Prometheus and promtool, from the sandbox's own static binaries.

For what runs in pods as users run it in theirs. There is no shell in it: commands are in exec form.
"""

from collections.abc import Mapping
from pathlib import Path

from presage_sandbox.images.oci import Entry, Runs
from presage_sandbox.images.static import static_image

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
