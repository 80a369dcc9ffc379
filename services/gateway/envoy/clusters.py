"""Where calls go: a cluster per service, watched by health checks and by what it answers."""

from urllib.parse import urlsplit

from services.gateway.envoy.config import SERVICES, Gateway
from services.gateway.envoy.filters import JWKS_CLUSTER
from services.gateway.envoy.proto import Json, address, typed

ADMIN = "admin"
BUFFER_BYTES = 4 * 2**20
CONNECTION_WINDOW = 16 * 2**20
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def clusters(gateway: Gateway) -> list[Json]:
    """Return every cluster."""
    return [
        *(_service(name, gateway.upstreams[name]) for name in sorted(set(SERVICES.values()))),
        _plain(JWKS_CLUSTER, _host_port(gateway.jwks)),
        _plain(ADMIN, f"unix:{gateway.admin_socket}"),
    ]


def _plain(name: str, target: str) -> Json:
    return {
        "name": name,
        "type": "STATIC" if target.startswith("unix:") else "STRICT_DNS",
        "connect_timeout": "1s",
        "load_assignment": _endpoints(name, target),
    }


def _service(name: str, target: str) -> Json:
    http2 = {
        "initial_stream_window_size": BUFFER_BYTES,
        "initial_connection_window_size": CONNECTION_WINDOW,
        "connection_keepalive": {"interval": "30s", "timeout": "10s"},
    }
    return {
        **_plain(name, target),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "typed_extension_protocol_options": {
            _HTTP: typed(
                _HTTP.removeprefix("envoy."),
                explicit_http_config={"http2_protocol_options": http2},
            )
        },
        "circuit_breakers": {
            # Watches are calls too, and each is open for minutes.
            "thresholds": [
                {
                    "max_connections": 4096,
                    "max_pending_requests": 4096,
                    "max_requests": 16_384,
                    "max_retries": 16,
                }
            ]
        },
        "common_lb_config": {"healthy_panic_threshold": {"value": 0}},  # down is down
        "health_checks": [_health()],
        "outlier_detection": _outliers(),
    }


def _health() -> Json:
    return {
        "timeout": "2s",
        "interval": "5s",
        "no_traffic_interval": "5s",
        "unhealthy_interval": "0.5s",
        "no_traffic_healthy_interval": "5s",
        "initial_jitter": "0.01s",
        "unhealthy_threshold": 2,
        "healthy_threshold": 1,
        "grpc_health_check": {},
    }


def _outliers() -> Json:
    return {
        "consecutive_gateway_failure": 5,
        "enforcing_consecutive_gateway_failure": 100,
        "enforcing_consecutive_5xx": 0,  # an INTERNAL of one method is no reason to drop a host
        "enforcing_success_rate": 0,
        "interval": "5s",
        "base_ejection_time": "5s",
        "max_ejection_percent": 50,
        "always_eject_one_host": False,  # the only one is never ejected
    }


def _endpoints(name: str, target: str) -> Json:
    endpoint = {"endpoint": {"address": address(target)}}
    return {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]}


def _host_port(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port or 80}"
