"""Contracts ↔ domain, pure, both ways."""

from google.protobuf import json_format

from mesh.common.v1.identifiers_pb2 import ResourceMeta
from mesh.strategy.v1 import strategy_pb2 as pb
from meshkit.times import from_datetime
from services.strategy import domain

_PREFIX = "COMPONENT_KIND_"


def kind_name(value: pb.ComponentKind.ValueType) -> str:
    """Return a kind's name without its prefix; empty for unspecified."""
    return pb.ComponentKind.Name(value).removeprefix(_PREFIX) if value else ""


def kind(name: str) -> pb.ComponentKind.ValueType:
    """Return the enum value of a kind's name."""
    return pb.ComponentKind.Value(_PREFIX + name)


def source(message: pb.StrategySource) -> domain.Source:
    """Return the source of a request."""
    return domain.Source(
        files=tuple((file.path, file.text) for file in message.files),
        importable_path=message.importable_path,
        class_name=message.class_name,
    )


def strategy(value: domain.Strategy) -> pb.Strategy:
    """Return a strategy as a message."""
    return pb.Strategy(
        strategy_id=value.strategy_id,
        kind=kind(value.kind),
        display_name=value.display_name,
        description=value.description,
        labels=dict(value.labels),
        latest_version=value.latest_version,
        version_count=value.version_count,
        meta=ResourceMeta(
            owner=value.owner,
            project=value.project,
            create_time=from_datetime(value.create_time),
            update_time=from_datetime(value.update_time),
            etag=str(value.revision),
        ),
    )


def version(value: domain.Version, *, whole: bool) -> pb.StrategyVersion:
    """Return a version as a message; only a ``whole`` one has source, schema and defaults."""
    message = pb.StrategyVersion(
        strategy_id=value.strategy_id,
        version=value.version,
        kind=kind(value.kind),
        class_name=value.classes.class_name,
        config_class_name=value.classes.config_class_name,
        required_fields=value.classes.required,
        owner=value.owner,
        project=value.project,
        create_time=from_datetime(value.create_time),
    )
    if whole:
        message.source.CopyFrom(
            pb.StrategySource(
                files=[pb.SourceFile(path=p, text=t) for p, t in value.source.files],
                importable_path=value.source.importable_path,
                class_name=value.source.class_name,
            )
        )
        json_format.ParseDict(dict(value.classes.config_schema), message.config_schema)
        json_format.ParseDict(value.classes.defaults, message.default_config)
    return message
