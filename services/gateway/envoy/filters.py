"""The HTTP filters in their order, and why it is this one.

CORS answers browsers' preflights; gRPC-Web makes a gRPC call of a browser's; the burst limit comes
before whatever costs more than a refusal; the transcoder makes a gRPC call of a REST request;
headers that claim an identity are removed; then token, scope, router.
"""

import base64

from meshkit.tokens import AUDIENCE, ISSUER
from services.gateway.envoy.config import Gateway, Limits
from services.gateway.envoy.contracts import descriptor_set, services
from services.gateway.envoy.proto import Json, http_filter
from services.gateway.envoy.routes import PAYLOAD

JWKS_SECONDS = 60
"""How old the key set may be here; the auth service lists a key for longer before it signs with it.
"""
JWKS_CLUSTER = "jwks"
TOKENS_CACHED = 1000
ADDRESSES_CACHED = 10_000
IDENTITY = ("x-mesh-", "x-forwarded-user", "x-auth-", "x-authenticated-", "x-jwt-")
"""Beginnings of headers by which a proxy would tell a service who calls: never from outside."""


def http_filters(gateway: Gateway) -> list[Json]:
    """Return the filters of the listener."""
    return [
        http_filter("cors", "extensions.filters.http.cors.v3.Cors"),
        http_filter("grpc_web", "extensions.filters.http.grpc_web.v3.GrpcWeb"),
        _burst_limit(gateway.limits),
        _transcoder(),
        _clean_up(),
        _token(gateway),
        # No policies: a route that brings none of its own is refused.
        http_filter("rbac", "extensions.filters.http.rbac.v3.RBAC", rules={"action": "ALLOW"}),
        http_filter(
            "router", "extensions.filters.http.router.v3.Router", suppress_envoy_headers=True
        ),
    ]


def _transcoder() -> Json:
    binary = descriptor_set().SerializeToString(deterministic=True)
    return http_filter(
        "grpc_json_transcoder",
        "extensions.filters.http.grpc_json_transcoder.v3.GrpcJsonTranscoder",
        proto_descriptor_bin=base64.b64encode(binary).decode(),
        services=services(),
        convert_grpc_status=True,
        print_options={
            "always_print_primitive_fields": True,
            "stream_newline_delimited": True,
        },
        request_validation_options={
            "reject_unknown_method": True,
            "reject_unknown_query_parameters": True,
            "reject_binding_body_field_collisions": True,
        },
        url_unescape_spec="ALL_CHARACTERS",  # an instrument id may hold a slash
        query_param_unescape_plus=True,
    )


def _clean_up() -> Json:
    removals = [{"remove_on_match": {"key_matcher": {"prefix": name}}} for name in IDENTITY]
    return http_filter(
        "header_mutation",
        "extensions.filters.http.header_mutation.v3.HeaderMutation",
        mutations={"request_mutations": removals},
    )


def _burst_limit(limits: Limits) -> Json:
    return http_filter(
        "local_ratelimit",
        "extensions.filters.http.local_ratelimit.v3.LocalRateLimit",
        stat_prefix="burst",
        filter_enabled=_always("burst_enabled"),
        filter_enforced=_always("burst_enforced"),
        token_bucket=_bucket(2**31 - 1),  # never the one that refuses
        descriptors=[
            {"entries": [{"key": "token"}], "token_bucket": _bucket(limits.token)},
            {"entries": [{"key": "remote_address"}], "token_bucket": _bucket(limits.address)},
        ],
        rate_limits=[
            {
                "actions": [
                    {"request_headers": {"header_name": "authorization", "descriptor_key": "token"}}
                ]
            },
            {"actions": [{"remote_address": {}}]},
        ],
        max_dynamic_descriptors=ADDRESSES_CACHED,
        enable_x_ratelimit_headers="DRAFT_VERSION_03",
        rate_limited_as_resource_exhausted=True,
    )


def _bucket(burst: int) -> Json:
    return {"max_tokens": burst, "tokens_per_fill": burst, "fill_interval": "1s"}


def _always(key: str) -> Json:
    return {"runtime_key": key, "default_value": {"numerator": 100, "denominator": "HUNDRED"}}


def _token(gateway: Gateway) -> Json:
    provider = {
        "issuer": ISSUER,
        "audiences": [AUDIENCE],
        "forward": True,  # the services check it again
        "from_headers": [{"name": "authorization", "value_prefix": "Bearer "}],
        "require_expiration": True,
        "clock_skew_seconds": 1,  # 0 would mean 60
        "payload_in_metadata": PAYLOAD,
        "jwt_cache_config": {"jwt_cache_size": TOKENS_CACHED},
        "remote_jwks": {
            "http_uri": {"uri": gateway.jwks, "cluster": JWKS_CLUSTER, "timeout": "2s"},
            "cache_duration": f"{JWKS_SECONDS}s",
            "async_fetch": {"fast_listener": True, "failed_refetch_duration": "1s"},
        },
    }
    return http_filter(
        "jwt_authn",
        "extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"mesh": provider},
        requirement_map={"token": {"provider_name": "mesh"}},
    )
