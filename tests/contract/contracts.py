"""The contracts as they are in the folder, read from their descriptor set."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from google.api import annotations_pb2 as annotations_pb2
from google.protobuf.descriptor_pb2 import (
    DescriptorProto,
    FileDescriptorSet,
    MethodDescriptorProto,
)

# Options are read only when their extensions are known: these imports make them so.
from buf.validate import validate_pb2 as validate_pb2
from mesh.common.v1 import options_pb2 as options_pb2

ROOT = Path(__file__).resolve().parents[2]
BUF = Path(sys.executable).parent / "buf"


@dataclass(frozen=True)
class Method:
    """A method of the mesh and its request and response messages."""

    name: str
    proto: MethodDescriptorProto
    request: DescriptorProto
    response: DescriptorProto

    @property
    def verb_noun(self) -> str:
        """The method's own name."""
        return self.proto.name


def buf(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run buf in a folder and return what it said."""
    return _run(BUF, *arguments, folder=folder)


def breaking(folder: Path) -> subprocess.CompletedProcess[str]:
    """Compare the contracts in a folder with the committed baseline."""
    baseline = ROOT / "protos/baseline.binpb"
    return _run(folder / "protos/breaking.sh", BUF, baseline, folder=folder)


def _run(*command: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], cwd=folder, capture_output=True, text=True, check=False
    )


@cache
def files() -> FileDescriptorSet:
    """Return the descriptor set that ships with the code."""
    return FileDescriptorSet.FromString((ROOT / "libs/mesh/descriptor.binpb").read_bytes())


@cache
def messages() -> dict[str, DescriptorProto]:
    """Return every top-level message by its full name with a leading dot."""
    return {f".{f.package}.{m.name}": m for f in files().file for m in f.message_type}


def methods() -> Iterator[Method]:
    """Give every method of every service of the mesh."""
    for file in (f for f in files().file if f.package.startswith("mesh.")):
        for service in file.service:
            for each in service.method:
                name = f"{file.package}.{service.name}/{each.name}"
                yield Method(name, each, messages()[each.input_type], messages()[each.output_type])
