"""Images are written as the OCI image format says, and the same content is the same image."""

import hashlib
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from presage_sandbox.images import project, prometheus
from presage_sandbox.images.cache import cache_folder, forget_old
from presage_sandbox.images.oci import Entry, Layer, Runs, folder_entries, write_image, write_layer
from presage_sandbox.images.static import static_image

NAMES = st.text("abcdefgh", min_size=1, max_size=8)


def blobs(archive: Path) -> dict[str, bytes]:
    """Read every file of an archive by its name."""
    with tarfile.open(archive) as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}  # type: ignore[union-attr]  # a file has content


def referenced(files: dict[str, bytes], descriptor: dict[str, Any]) -> bytes:
    """Read what a descriptor names, after checking its digest and size."""
    algorithm, _, digest = descriptor["digest"].partition(":")
    content = files[f"blobs/{algorithm}/{digest}"]
    assert hashlib.sha256(content).hexdigest() == digest
    assert len(content) == descriptor["size"]
    return content


@given(files=st.dictionaries(NAMES, st.binary(max_size=64), min_size=1, max_size=5))
@settings(max_examples=25, deadline=None)
def test_every_descriptor_names_a_blob_with_that_digest(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes]
) -> None:
    """From the index down to each layer's files, everything is there, whole, and named right."""
    folder = tmp_path_factory.mktemp("image")
    layer = write_layer(
        [Entry(name, content=content) for name, content in files.items()], folder / "layer.tar"
    )
    archive = write_image("presage.dev/x:1", [layer], Runs(("/x",)), folder / "image.tar")
    contents = blobs(archive)
    (named,) = json.loads(contents["index.json"])["manifests"]
    assert named["annotations"]["io.containerd.image.name"] == "presage.dev/x:1"
    manifest = json.loads(referenced(contents, named))
    config = json.loads(referenced(contents, manifest["config"]))
    (packed,) = manifest["layers"]
    assert config["rootfs"]["diff_ids"] == [packed["digest"]]  # uncompressed, so both are the same
    with tarfile.open(fileobj=io.BytesIO(referenced(contents, packed))) as tar:
        found = {member.name: tar.extractfile(member).read() for member in tar}  # type: ignore[union-attr]  # all are files
    assert found == files


def test_the_same_content_is_the_same_layer(tmp_path: Path) -> None:
    """Times, owners and the order on disk do not show in a layer's digest."""
    layers = []
    for order in (("a", "b"), ("b", "a")):
        folder = tmp_path / order[0]
        folder.mkdir()
        for name in order:
            (folder / name).write_text(name)
        layers.append(write_layer(folder_entries(folder, "opt"), tmp_path / f"{order[0]}.tar"))
    assert layers[0].digest == layers[1].digest


def test_a_layers_digest_follows_its_file(tmp_path: Path) -> None:
    """The digest kept beside a layer is not used for another file of the same name."""
    first = write_layer([Entry("x", content=b"1")], tmp_path / "layer.tar")
    second = write_layer([Entry("x", content=b"2")], tmp_path / "layer.tar")
    assert first.digest != second.digest
    assert Layer.of(tmp_path / "layer.tar") == second


def test_links_and_permissions_survive(tmp_path: Path) -> None:
    """Programs stay executable, links stay links, and what is left out is not there."""
    folder = tmp_path / "folder"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "big").touch()
    (folder / "run").touch(mode=0o755)
    (folder / "also").symlink_to("run")
    layer = write_layer(folder_entries(folder, "opt", leave_out=("tests",)), tmp_path / "layer.tar")
    with tarfile.open(layer.tar) as tar:
        assert sorted(tar.getnames()) == ["opt/also", "opt/run"]
        assert tar.getmember("opt/run").mode == 0o755
        assert tar.getmember("opt/also").linkname == "run"
        assert {member.uid for member in tar} == {0}


def test_a_changed_program_makes_a_new_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An image of static programs is kept until a program changes."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    program = tmp_path / "program"
    program.write_text("one")
    programs = {"bin/program": program}
    first = static_image("presage.dev/x:1", programs, (), Runs(("/bin/program",)))
    assert static_image("presage.dev/x:1", programs, (), Runs(("/bin/program",))) == first
    program.write_text("another")
    assert static_image("presage.dev/x:1", programs, (), Runs(("/bin/program",))) != first


def test_only_the_newest_images_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache that is used for months does not grow without bound, and others' files stay."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = cache_folder()
    for age, key in enumerate("abcde"):
        for path in (folder / f"root-{key}.tar", folder / f"root-{key}.digest"):
            path.touch()
            os.utime(path, (1000 - age, 1000 - age))
    (folder / "rooted-x.tar").touch()
    forget_old("root", keep=2)
    kept = ["root-a.digest", "root-a.tar", "root-b.digest", "root-b.tar", "rooted-x.tar"]
    assert sorted(path.name for path in folder.iterdir()) == kept


def test_prometheus_runs_without_root_and_can_write_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The image's user is no root, and its working folder is open to whatever user a pod sets."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    binaries = {}
    for name in prometheus.PROGRAMS:
        binaries[name] = tmp_path / name
        binaries[name].write_text(name)
    contents = blobs(prometheus.build(binaries))
    manifest = json.loads(referenced(contents, json.loads(contents["index.json"])["manifests"][0]))
    config = json.loads(referenced(contents, manifest["config"]))["config"]
    assert config["User"] == "65534:65534"
    with tarfile.open(fileobj=io.BytesIO(referenced(contents, manifest["layers"][0]))) as tar:
        assert tar.getmember("prometheus").mode == 0o777
        assert tar.getmember("bin/promtool").mode == 0o755


def test_the_image_holds_every_room_and_no_training_code() -> None:
    """Each package of the project is in the image; torch is not among what it installs."""
    rooms = {path.name for path in Path(project.__file__).parents[3].glob("*/presage_*") if path.is_dir()}
    assert set(project.PACKAGES) == rooms
    names = {line.split("==")[0] for line in project.requirements().splitlines() if "==" in line}
    assert {"aiohttp", "kopf", "uvloop"} <= names
    assert not {"torch", "transformers", "cryptography", "pyarrow", "pytest", "presage"} & names
