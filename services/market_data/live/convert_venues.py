"""What is told of a venue → the message of the contract."""

from mesh.marketdata.v1 import feed_service_pb2 as rpc
from meshkit.nautilus.venues.model import VenueInfo


def venue(told: VenueInfo) -> rpc.Venue:
    """Return a venue as a message."""
    return rpc.Venue(
        venue=told.venue,
        data=told.data,
        execution=told.execution,
        available=told.available,
        extra=told.extra,
        missing_packages=told.missing_packages,
        problem=told.problem,
        config_schema=told.config_schema,
        exec_config_schema=told.exec_config_schema,
        credentials=[
            rpc.VenueCredential(
                field=each.field, environment=each.environment, required=each.required
            )
            for each in told.credentials
        ],
        url_fields=told.url_fields,
        plugin=told.plugin,
        notes=told.notes,
    )
