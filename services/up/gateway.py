"""Envoy as a process of the mesh."""

from services.gateway.envoy import Gateway, command, write
from services.gateway.envoy.config import SERVICES
from services.up.config import Config
from services.up.probes import http_ok
from services.up.process import Spec
from services.up.specs import Addresses


def gateway(config: Config, at: Addresses) -> Spec:
    """Write Envoy's configuration and return its process. The settings that the gateway reads from
    the environment (``MESH_GATEWAY_…``) hold here too.
    """
    upstreams = {_variable(name): at.socket(name) for name in SERVICES.values()}
    bootstrap = write(
        Gateway.read(
            {
                **config.passed_on,
                **upstreams,
                "MESH_JWKS_URL": at.jwks,
                "MESH_GATEWAY_ADMIN_SOCKET": str(at.run / "envoy-admin.sock"),
                "MESH_GATEWAY_LISTEN": config.gateway,
                "MESH_HTTP_LISTEN": at.http("gateway"),
                "MESH_GATEWAY_ACCESS_LOG": str(config.logs / "access.log"),
            }
        ),
        at.run / "envoy.json",
    )
    return Spec(
        name="gateway",
        command=command(bootstrap),
        env=config.passed_on,
        address=f"http://{config.gateway}",
        probe=http_ok(f"http://{at.http('gateway')}/ready"),
    )


def _variable(service: str) -> str:
    return f"MESH_{service.upper().replace('-', '_')}_ADDRESS"
