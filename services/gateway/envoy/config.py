"""What an operator decides about the gateway."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from meshkit.config import Env

SERVICES = {
    "mesh.gateway.v1": "auth",
    "mesh.strategy.v1": "strategy",
    "mesh.marketdata.v1": "market-data",
    "mesh.backtest.v1": "backtest",
    "mesh.execution.v1": "live-execution",
}
"""Which service answers a package of the contracts."""


@dataclass(frozen=True)
class Limits:
    """Bursts that one Envoy lets through: calls at once, granted again each second.

    ``token`` is counted for each token, ``address`` for each client address over all its tokens.
    """

    token: int = 2_000
    address: int = 10_000

    @classmethod
    def read(cls, env: Env) -> "Limits":
        """Read ``MESH_GATEWAY_TOKEN_BURST`` and ``MESH_GATEWAY_ADDRESS_BURST``."""
        return cls(
            token=env.integer("MESH_GATEWAY_TOKEN_BURST", cls.token, minimum=1),
            address=env.integer("MESH_GATEWAY_ADDRESS_BURST", cls.address, minimum=1),
        )


@dataclass(frozen=True)
class Tls:
    """Files of the gateway's certificate chain and private key, in PEM."""

    certificate: str
    key: str


@dataclass(frozen=True)
class Gateway:
    """Everything that Envoy's configuration is made from, beside the contracts.

    Parameters
    ----------
    upstreams
        Address of each service of ``SERVICES``: ``unix:/path`` or ``host:port``.
    jwks
        URL of the auth service's key set.
    admin_socket
        Path of Envoy's admin socket, made 0600.
    listen
        ``host:port`` for everybody.
    status_listen
        ``host:port`` of ``/ready`` and ``/stats/prometheus``.
    access_log
        File of the access log, JSON a line, without tokens.
    cors_origins
        Origins of browsers that may call, exact, or ``*`` for all.
    trusted_hops
        How many proxies before this one are ours: so many addresses of ``x-forwarded-for`` are
        believed, counted from the right.
    tls
        Certificate of the listener; None serves plain text (loopback, or TLS before it).

    """

    upstreams: Mapping[str, str]
    jwks: str
    admin_socket: str
    listen: str = "127.0.0.1:8080"
    status_listen: str = "127.0.0.1:8086"
    access_log: str = "/dev/stdout"
    cors_origins: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    trusted_hops: int = 0
    tls: Tls | None = None

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Gateway":
        """Read the environment, as a container has it; raises ``ConfigError`` with every fault."""
        env = Env(values)
        certificate = env.text("MESH_GATEWAY_TLS_CERTIFICATE", "")
        gateway = cls(
            upstreams={
                name: env.text(f"MESH_{name.upper().replace('-', '_')}_ADDRESS")
                for name in SERVICES.values()
            },
            jwks=env.text("MESH_JWKS_URL"),
            admin_socket=env.text("MESH_GATEWAY_ADMIN_SOCKET"),
            listen=env.text("MESH_GATEWAY_LISTEN", cls.listen),
            status_listen=env.text("MESH_HTTP_LISTEN", cls.status_listen),
            access_log=env.text("MESH_GATEWAY_ACCESS_LOG", cls.access_log),
            cors_origins=env.items("MESH_GATEWAY_CORS_ORIGINS"),
            limits=Limits.read(env),
            trusted_hops=env.integer("MESH_GATEWAY_TRUSTED_HOPS", cls.trusted_hops),
            tls=Tls(certificate, env.text("MESH_GATEWAY_TLS_KEY")) if certificate else None,
        )
        env.check()
        return gateway
