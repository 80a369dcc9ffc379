"""The bootstrap as a whole."""

from services.gateway.envoy.clusters import ADMIN, BUFFER_BYTES, CONNECTION_WINDOW, clusters
from services.gateway.envoy.config import Gateway, Tls
from services.gateway.envoy.filters import http_filters
from services.gateway.envoy.proto import Json, address, http_filter, typed
from services.gateway.envoy.replies import local_replies
from services.gateway.envoy.routes import JWT, PAYLOAD, route_config

OWNER_ONLY = 0o600
CONNECTIONS = 20_000
_MANAGER = "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_TLS = "extensions.transport_sockets.tls.v3.DownstreamTlsContext"


def render(gateway: Gateway) -> Json:
    """Return Envoy's bootstrap, ready to be written as JSON."""
    return {
        "node": {"id": "gateway", "cluster": "nautilus-mesh"},
        "admin": {"address": {"pipe": {"path": gateway.admin_socket, "mode": OWNER_ONLY}}},
        "overload_manager": _overload(),
        "static_resources": {
            "listeners": [_main(gateway), _status(gateway)],
            "clusters": clusters(gateway),
        },
    }


def _overload() -> Json:
    name = "envoy.resource_monitors.global_downstream_max_connections"
    kind = "extensions.resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig"
    limit = typed(kind, max_active_downstream_connections=CONNECTIONS)
    return {"resource_monitors": [{"name": name, "typed_config": limit}]}


def _main(gateway: Gateway) -> Json:
    chain: Json = {"filters": [_network(_manager(gateway))]}
    if gateway.tls is not None:
        chain["transport_socket"] = _transport(gateway.tls)
    return {
        "name": "mesh",
        "address": address(gateway.listen),
        "per_connection_buffer_limit_bytes": BUFFER_BYTES,
        "filter_chains": [chain],
    }


def _manager(gateway: Gateway) -> Json:
    return typed(
        _MANAGER,
        stat_prefix="mesh",
        codec_type="AUTO",
        server_name="nautilus-mesh",
        use_remote_address=True,  # the caller is who connects, whatever x-forwarded-for says,
        xff_num_trusted_hops=gateway.trusted_hops,  # unless proxies of ours stand before
        internal_address_config={"cidr_ranges": []},  # and nobody is trusted for being near
        normalize_path=True,
        preserve_external_request_id=True,
        always_set_request_id_in_response=True,
        request_id_extension={
            "typed_config": typed(
                "extensions.request_id.uuid.v3.UuidRequestIdConfig",
                pack_trace_reason=False,  # a client's id comes back as it was sent
            )
        },
        request_headers_timeout="10s",
        common_http_protocol_options={"idle_timeout": "3600s"},
        http_protocol_options={"enable_trailers": True},  # they say how a REST stream ended
        http2_protocol_options={
            "max_concurrent_streams": 1024,
            "initial_stream_window_size": BUFFER_BYTES,
            "initial_connection_window_size": CONNECTION_WINDOW,
            "connection_keepalive": {"interval": "30s", "timeout": "10s"},
        },
        access_log=[_access_log(gateway.access_log)],
        local_reply_config=local_replies(),
        route_config=route_config(gateway),
        http_filters=http_filters(gateway),
    )


def _access_log(path: str) -> Json:
    """Return the log of calls: who, what, how long; no token, no query, no body."""
    line = {
        "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
        "service": "gateway",
        "request_id": "%REQ(X-REQUEST-ID)%",
        "traceparent": "%REQ(TRACEPARENT)%",
        "subject": f"%DYNAMIC_METADATA({JWT}:{PAYLOAD}:sub)%",
        "verb": "%REQ(X-ENVOY-ORIGINAL-METHOD?:METHOD)%",
        "path": "%PATH(NQ)%",
        "method": "%ROUTE_NAME%",
        "code": "%RESPONSE_CODE%",
        "grpc": "%GRPC_STATUS%",
        "flags": "%RESPONSE_FLAGS%",
        "details": "%RESPONSE_CODE_DETAILS%",
        "upstream": "%UPSTREAM_CLUSTER%",
        "ms": "%DURATION%",
        "bytes_in": "%BYTES_RECEIVED%",
        "bytes_out": "%BYTES_SENT%",
        "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    }
    kind = "extensions.access_loggers.file.v3.FileAccessLog"
    return {
        "name": "envoy.access_loggers.file",
        "typed_config": typed(kind, path=path, log_format={"json_format": line}),
    }


def _status(gateway: Gateway) -> Json:
    """Return the small listener: of the admin interface these two pages and no other."""
    routes = [
        {"match": {"path": path, "headers": [_GET]}, "route": {"cluster": ADMIN}}
        for path in ("/ready", "/stats/prometheus")
    ]
    manager = typed(
        _MANAGER,
        stat_prefix="status",
        route_config={
            "virtual_hosts": [{"name": "status", "domains": ["*"], "routes": routes}],
        },
        http_filters=[http_filter("router", "extensions.filters.http.router.v3.Router")],
    )
    return {
        "name": "status",
        "address": address(gateway.status_listen),
        "filter_chains": [{"filters": [_network(manager)]}],
    }


_GET = {"name": ":method", "string_match": {"exact": "GET"}}


def _network(manager: Json) -> Json:
    return {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}


def _transport(tls: Tls) -> Json:
    files = {
        "certificate_chain": {"filename": tls.certificate},
        "private_key": {"filename": tls.key},
    }
    context = {
        "alpn_protocols": ["h2", "http/1.1"],
        "tls_params": {"tls_minimum_protocol_version": "TLSv1_2"},
        "tls_certificates": [files],
    }
    return {
        "name": "envoy.transport_sockets.tls",
        "typed_config": typed(_TLS, common_tls_context=context),
    }
