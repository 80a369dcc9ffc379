"""One route per method: where it goes, how long it may take, and who may take it."""

from services.gateway.envoy import replies
from services.gateway.envoy.config import SERVICES, Gateway
from services.gateway.envoy.contracts import Method, methods
from services.gateway.envoy.proto import Json, seconds, typed

GRACE_SECONDS = 5.0
"""A service ends a call at its deadline with a typed error; Envoy does later, if it did not."""
WATCH_IDLE_SECONDS = 90.0
"""A watch says something at least every 15 seconds."""
STREAM_IDLE_SECONDS = 300.0
EXPOSED = (
    "grpc-status,grpc-message,grpc-status-details-bin,x-request-id,retry-after,"
    "x-ratelimit-limit,x-ratelimit-remaining,x-ratelimit-reset"
)
JWT = "envoy.filters.http.jwt_authn"
PAYLOAD = "jwt"
_RBAC = "extensions.filters.http.rbac.v3.RBACPerRoute"
_JWT = "extensions.filters.http.jwt_authn.v3.PerRouteConfig"


def route_config(gateway: Gateway) -> Json:
    """Return the routes of the listener."""
    return {
        "name": "mesh",
        "validate_clusters": False,  # there is one that does not exist: see _unknown
        "virtual_hosts": [
            {
                "name": "mesh",
                "domains": ["*"],
                "typed_per_filter_config": {"envoy.filters.http.cors": _cors(gateway)},
                "routes": [*(_route(method) for method in methods()), _unknown()],
            }
        ],
    }


def _cors(gateway: Gateway) -> Json:
    origins = [
        {"safe_regex": {"regex": ".*"}} if origin == "*" else {"exact": origin}
        for origin in gateway.cors_origins
    ]
    return typed(
        "extensions.filters.http.cors.v3.CorsPolicy",
        allow_origin_string_match=origins,
        allow_methods="GET,POST,PATCH,PUT,DELETE,OPTIONS",
        allow_headers="authorization,content-type,grpc-timeout,traceparent,x-grpc-web,"
        "x-request-id,x-user-agent",
        expose_headers=EXPOSED,
        max_age="600",
    )


def _route(method: Method) -> Json:
    service = SERVICES[method.package]
    return {
        "name": method.path,
        "match": {"path": method.path},
        "route": {"cluster": service, **_times(method), **_retries(method)},
        "metadata": {"filter_metadata": {replies.ROUTE: _refusals(method, service)}},
        "typed_per_filter_config": {JWT: _token(method), "envoy.filters.http.rbac": _rbac(method)},
    }


def _unknown() -> Json:
    """Return the last route: everything else is refused as unknown, whoever asks.

    It leads to a cluster that does not exist, and is no direct response, because only on routes
    that lead somewhere does Envoy answer a preflight (of REST: the paths are turned into methods
    later).
    """
    return {
        "match": {"prefix": "/"},
        "route": {"cluster": "unknown", "cluster_not_found_response_code": "NOT_FOUND"},
        "typed_per_filter_config": {
            JWT: typed(_JWT, disabled=True),
            "envoy.filters.http.rbac": _allow("unknown", {"any": True}),
        },
    }


def _times(method: Method) -> Json:
    limit = seconds(method.maximum_seconds + GRACE_SECONDS)
    if method.rule.watch:
        return {
            "timeout": "0s",
            "idle_timeout": seconds(WATCH_IDLE_SECONDS),
            "max_stream_duration": {"max_stream_duration": "0s"},
        }
    if method.streaming:
        return {
            "timeout": "0s",
            "idle_timeout": seconds(STREAM_IDLE_SECONDS),
            "max_stream_duration": {"max_stream_duration": limit},
        }
    return {"timeout": limit}


def _retries(method: Method) -> Json:
    """Return a retry policy where a second attempt cannot do harm.

    A stream of requests is never repeated: its beginning is gone.
    """
    if not method.rule.idempotent or method.client_streaming:
        return {}
    return {
        "retry_policy": {
            "retry_on": "connect-failure,refused-stream,reset,unavailable",
            "num_retries": 2,
            "retry_back_off": {"base_interval": "0.025s", "max_interval": "0.25s"},
        }
    }


def _refusals(method: Method, service: str) -> Json:
    found = replies.of_route("unavailable", replies.unavailable(service))
    if method.rule.scope:
        found |= replies.of_route("denied", replies.scope_missing(method.rule.scope))
    return found


def _token(method: Method) -> Json:
    if method.rule.public:
        return typed(_JWT, disabled=True)
    return typed(_JWT, requirement_name="token")


def _rbac(method: Method) -> Json:
    rule = method.rule
    if rule.public or rule.authenticated:
        return _allow("public" if rule.public else "authenticated", {"any": True})
    matcher = {
        "filter": JWT,
        "path": [{"key": PAYLOAD}, {"key": "scopes"}],
        "value": {"list_match": {"one_of": {"string_match": {"exact": rule.scope}}}},
    }
    return _allow(rule.scope, {"sourced_metadata": {"metadata_matcher": matcher}})


def _allow(name: str, principal: Json) -> Json:
    policy = {"permissions": [{"any": True}], "principals": [principal]}
    return typed(_RBAC, rbac={"rules": {"action": "ALLOW", "policies": {name: policy}}})
