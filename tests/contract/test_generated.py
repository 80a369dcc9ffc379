"""The committed descriptor set is the one that the contracts give."""

from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from contract.contracts import buf, files


def test_descriptor_set_is_current(tmp_path: Path) -> None:
    """The gateway is configured from the contracts as they are; `make lint` compares the rest."""
    target = tmp_path / "now.binpb"
    made = buf("build", "--exclude-source-info", "-o", target)
    assert made.returncode == 0, made.stderr
    now = FileDescriptorSet.FromString(target.read_bytes())
    assert _ours(now) == _ours(files())


def _ours(found: FileDescriptorSet) -> dict[str, bytes]:
    """Return the mesh's files, without what buf alone adds."""
    for file in found.file:
        file.DiscardUnknownFields()
    return {
        f.name: f.SerializeToString(deterministic=True)
        for f in found.file
        if f.package.startswith("mesh.")
    }
