"""What the mesh says of itself."""

import hashlib
import platform
from importlib import metadata

from mesh.gateway.v1 import mesh_service_pb2 as rpc
from meshkit import VERSION
from services.gateway.envoy.config import Limits
from services.gateway.envoy.contracts import descriptor_bytes, methods, services


def mesh_info(limits: Limits) -> rpc.GetMeshInfoResponse:
    """Return versions, services and limits; Nautilus is asked for its version, not imported."""
    return rpc.GetMeshInfoResponse(
        version=VERSION,
        contracts_version=hashlib.sha256(descriptor_bytes()).hexdigest(),
        nautilus_trader_version=_installed("nautilus_trader"),
        python_version=platform.python_version(),
        services=[
            rpc.ServiceInfo(name=name, methods=[m.name for m in methods() if m.service == name])
            for name in services()
        ],
        isolation_mode=rpc.ISOLATION_MODE_PROCESS,
        rate_limits=[
            rpc.RateLimit(key=key, burst=burst, calls_per_second=burst)
            for key, burst in (("token", limits.token), ("address", limits.address))
        ],
    )


def _installed(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:  # an image of the auth service needs no Nautilus
        return ""
