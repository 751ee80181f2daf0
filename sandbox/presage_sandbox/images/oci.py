"""The OCI image format, as much of it as a builder without a daemon needs.

A layer is an uncompressed tar file: compressing costs more than it saves when an image only moves
from one folder of a machine to another. Everything is written in a fixed order with fixed times and
owners, so that the same content has the same digest and is imported once.
Source: OCI image-spec 1.1 (image-layout.md, manifest.md, config.md, annotations.md).
"""

import dataclasses
import hashlib
import io
import json
import platform
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
CHUNK_BYTES = 1 << 20


@dataclasses.dataclass(frozen=True)
class Entry:
    """One file, folder or symbolic link of a layer.

    `path` is where it lies in the image, without a leading slash. Exactly one of `source` (a file to
    copy), `content` and `link` says what it is; with none of them it is a folder. `mode` are the
    permission bits; the owner is root.
    """

    path: str
    source: Path | None = None
    content: bytes | None = None
    link: str | None = None
    mode: int = 0o644


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer's tar file, its digest (`sha256:…`) and its size in bytes."""

    tar: Path
    digest: str
    size: int

    @classmethod
    def of(cls, tar: Path) -> Self:
        """Describe a tar file. The digest is kept beside it, since hashing a large layer takes a second."""
        note = tar.with_suffix(".digest")
        if not note.exists() or note.stat().st_mtime_ns < tar.stat().st_mtime_ns:
            with tar.open("rb") as file:
                note.write_text(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")
        return cls(tar=tar, digest=note.read_text(), size=tar.stat().st_size)

    @property
    def descriptor(self) -> dict[str, Any]:
        """How a manifest names this layer."""
        return {"mediaType": LAYER_TYPE, "digest": self.digest, "size": self.size}


@dataclasses.dataclass(frozen=True)
class Runs:
    """How containers of an image run unless their pod says otherwise."""

    entrypoint: tuple[str, ...]
    user: str = "65532:65532"
    directory: str = "/"
    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)


def architecture() -> str:
    """Of this machine, in the words of OCI (`amd64`, `arm64`)."""
    return ARCHITECTURES.get(platform.machine(), platform.machine())


def folder_entries(folder: Path, prefix: str, leave_out: Iterable[str] = ()) -> list[Entry]:
    """Return what lies below `folder`, placed below `prefix`, without folders named in `leave_out`."""
    skipped = set(leave_out)
    entries = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if skipped.intersection(relative.parts):
            continue
        name = f"{prefix}/{relative}"
        if path.is_symlink():
            entries.append(Entry(name, link=str(path.readlink()), mode=0o777))
        elif path.is_dir():
            entries.append(Entry(name, mode=0o755))
        else:
            entries.append(Entry(name, source=path, mode=0o755 if path.stat().st_mode & 0o100 else 0o644))
    return entries


def write_layer(entries: Iterable[Entry], tar: Path) -> Layer:
    """Write a layer in one step: `tar` appears complete or not at all."""
    draft = tar.with_suffix(".draft")
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as archive:
        for entry in entries:
            _add(archive, entry)
    draft.replace(tar)
    tar.with_suffix(".digest").unlink(missing_ok=True)
    return Layer.of(tar)


def _add(archive: tarfile.TarFile, entry: Entry) -> None:
    member = tarfile.TarInfo(entry.path)
    member.mode = entry.mode
    if entry.source is not None:
        member.size = entry.source.stat().st_size
        with entry.source.open("rb") as file:
            archive.addfile(member, file)
    elif entry.content is not None:
        member.size = len(entry.content)
        archive.addfile(member, io.BytesIO(entry.content))
    elif entry.link is not None:
        member.type, member.linkname = tarfile.SYMTYPE, entry.link
        archive.addfile(member)
    else:
        member.type, member.mode = tarfile.DIRTYPE, entry.mode | 0o111
        archive.addfile(member)


def write_image(name: str, layers: Iterable[Layer], runs: Runs, archive: Path) -> Path:
    """Write an image as an OCI layout in a tar, which `ctr images import` and `podman load` read.

    `name` is the full reference (`presage.dev/pause:dev`). Returns `archive`, which appears complete
    or not at all.
    """
    layers = list(layers)
    config = _json(_config(layers, runs))
    manifest = _json(
        {
            "schemaVersion": 2,
            "mediaType": MANIFEST_TYPE,
            "config": _descriptor(CONFIG_TYPE, config),
            "layers": [each.descriptor for each in layers],
        }
    )
    index = _json(
        {
            "schemaVersion": 2,
            "mediaType": INDEX_TYPE,
            "manifests": [
                _descriptor(MANIFEST_TYPE, manifest)
                | {
                    "platform": {"os": "linux", "architecture": architecture()},
                    "annotations": {
                        "io.containerd.image.name": name,
                        "org.opencontainers.image.ref.name": name,
                    },
                }
            ],
        }
    )
    draft = archive.with_suffix(".draft")
    with tarfile.open(draft, "w", format=tarfile.PAX_FORMAT) as tar:
        _add(tar, Entry("oci-layout", content=_json({"imageLayoutVersion": "1.0.0"})))
        _add(tar, Entry("index.json", content=index))
        for blob in (config, manifest):
            _add(tar, Entry(_blob_path(_digest(blob)), content=blob))
        for digest, layer in {each.digest: each for each in layers}.items():
            _add(tar, Entry(_blob_path(digest), source=layer.tar))
    draft.replace(archive)
    return archive


def _config(layers: list[Layer], runs: Runs) -> dict[str, Any]:
    return {
        "architecture": architecture(),
        "os": "linux",
        "config": {
            "User": runs.user,
            "Entrypoint": list(runs.entrypoint),
            "WorkingDir": runs.directory,
            "Env": [f"{key}={value}" for key, value in runs.environment.items()],
        },
        "rootfs": {"type": "layers", "diff_ids": [each.digest for each in layers]},
    }


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _digest(blob: bytes) -> str:
    return f"sha256:{hashlib.sha256(blob).hexdigest()}"


def _descriptor(media_type: str, blob: bytes) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": _digest(blob), "size": len(blob)}


def _blob_path(digest: str) -> str:
    return "blobs/" + digest.replace(":", "/")
