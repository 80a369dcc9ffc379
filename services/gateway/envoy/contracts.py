"""The methods of the mesh, read from the descriptor set."""

from dataclasses import dataclass
from functools import cache
from importlib import resources

from google.api import annotations_pb2 as _annotations
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2, status_pb2

from buf.validate import validate_pb2 as _validate
from mesh.common.v1 import options_pb2
from meshkit import rules

_OPTIONS = (_annotations, _validate)
"""Imported so that the options of the descriptor set are read and written back whole."""


@dataclass(frozen=True)
class Method:
    """One method: where it is, who may call it, and how long it may take."""

    package: str
    service: str
    name: str
    rule: options_pb2.MethodRule
    client_streaming: bool
    server_streaming: bool

    @property
    def path(self) -> str:
        """The path of the call, ``/package.Service/Method``."""
        return f"/{self.service}/{self.name}"

    @property
    def streaming(self) -> bool:
        """Whether either side streams."""
        return self.client_streaming or self.server_streaming

    @property
    def maximum_seconds(self) -> float:
        """The longest deadline that the service grants."""
        return rules.maximum_deadline(self.rule)


def descriptor_bytes() -> bytes:
    """Return the descriptor set that ships with the code, as it is."""
    return resources.files("mesh").joinpath("descriptor.binpb").read_bytes()


@cache
def descriptor_set() -> FileDescriptorSet:
    """Return the descriptor set with the messages of error details, which JSON needs."""
    found = FileDescriptorSet.FromString(descriptor_bytes())
    known = {file.name for file in found.file}
    for module in (status_pb2, error_details_pb2):
        _add(found, module.DESCRIPTOR.name, known)
    return found


def _add(to: FileDescriptorSet, name: str, known: set[str]) -> None:
    """Add a file after those that it imports."""
    if name in known:
        return
    known.add(name)
    file = FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(name).CopyToProto(file)
    for imported in file.dependency:
        _add(to, imported, known)
    to.file.append(file)


def methods(contracts: FileDescriptorSet | None = None) -> list[Method]:
    """Return every method that has a rule; one without is not routed, so nobody may call it."""
    return [
        Method(
            package=file.package,
            service=f"{file.package}.{service.name}",
            name=method.name,
            rule=method.options.Extensions[options_pb2.rule],
            client_streaming=method.client_streaming,
            server_streaming=method.server_streaming,
        )
        for file in (contracts or descriptor_set()).file
        for service in file.service
        for method in service.method
        if method.options.HasExtension(options_pb2.rule)
    ]


def services() -> list[str]:
    """Return the full names of the services of the mesh."""
    return sorted({method.service for method in methods()})
