"""What Envoy is told follows from the contracts."""

import json
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mesh.common.v1 import options_pb2
from meshkit.config import ConfigError
from services.gateway.envoy import Gateway, render
from services.gateway.envoy.config import SERVICES
from services.gateway.envoy.contracts import Method, descriptor_bytes, methods

JWT = "envoy.filters.http.jwt_authn"
RBAC = "envoy.filters.http.rbac"
GATEWAY = Gateway(
    upstreams={name: f"unix:/run/{name}.sock" for name in SERVICES.values()},
    jwks="http://127.0.0.1:8081/.well-known/jwks.json",
    admin_socket="/run/admin.sock",
)


def routes() -> dict[str, dict[str, Any]]:
    """Return the rendered routes by the path that they match."""
    listener = render(GATEWAY)["static_resources"]["listeners"][0]
    manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
    found = manager["route_config"]["virtual_hosts"][0]["routes"]
    return {route["match"].get("path", route["match"].get("prefix")): route for route in found}


def test_it_is_json_and_always_the_same() -> None:
    """The bootstrap is plain data, the same each time it is made."""
    assert json.dumps(render(GATEWAY)) == json.dumps(render(GATEWAY))


def test_each_method_has_its_own_route() -> None:
    """There is a route per method, with nothing but its exact path, and the one that refuses."""
    assert set(routes()) == {*(m.path for m in methods()), "/"}


@pytest.mark.parametrize("method", methods(), ids=lambda m: m.path)
def test_route_follows_rule(method: Method) -> None:
    """Token, scope, times and retries of a route are what the rule of its method says."""
    route = routes()[method.path]
    filters, action = route["typed_per_filter_config"], route["route"]
    assert filters[JWT].get("disabled", False) == method.rule.public
    assert (method.rule.scope in json.dumps(filters[RBAC])) or not method.rule.scope
    assert (action["timeout"] == "0s") == method.streaming
    assert ("retry_policy" in action) == (method.rule.idempotent and not method.client_streaming)
    assert action["cluster"] == SERVICES[method.package]


def test_a_method_without_a_rule_has_no_route() -> None:
    """A rule that somebody forgot closes the door; it does not open it."""
    contracts = FileDescriptorSet.FromString(descriptor_bytes())
    file = next(f for f in contracts.file if f.service and f.package == "mesh.strategy.v1")
    forgotten = file.service[0].method[0]
    forgotten.options.ClearExtension(options_pb2.rule)
    names = {method.path for method in methods(contracts)}
    assert f"/{file.package}.{file.service[0].name}/{forgotten.name}" not in names
    assert len(names) == len(methods()) - 1


def test_every_fault_of_the_environment_is_told() -> None:
    """An operator sees all that is amiss at once."""
    with pytest.raises(ConfigError) as caught:
        Gateway.read({"MESH_GATEWAY_TOKEN_BURST": "many"})
    told = " ".join(caught.value.faults)
    for name in ("MESH_MARKET_DATA_ADDRESS", "MESH_JWKS_URL", "MESH_GATEWAY_TOKEN_BURST"):
        assert name in told
