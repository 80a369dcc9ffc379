"""Where a service's public keys come from, over real HTTP."""

import json
from collections.abc import Iterator
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from meshkit.errors import ServiceUnavailable
from meshkit.metrics import HttpPort
from meshkit.tokens import RemoteKeys


def key_set(*ids: str) -> bytes:
    """Return a JWKS with a key for each id."""
    keys: list[Any] = []
    for key_id in ids:
        public = ec.generate_private_key(ec.SECP256R1()).public_key()
        keys.append(jwt.algorithms.ECAlgorithm.to_jwk(public, as_dict=True) | {"kid": key_id})
    return json.dumps({"keys": keys}).encode()


class Auth:
    """An auth service's key set that can be changed and counts how often it is read."""

    def __init__(self) -> None:
        self.body = key_set("one")
        self.reads = 0

    def answer(self) -> tuple[str, bytes]:
        """Answer a read."""
        self.reads += 1
        return "application/json", self.body


@pytest.fixture
def auth() -> Auth:
    """Give the auth service."""
    return Auth()


@pytest.fixture
def url(auth: Auth) -> Iterator[str]:
    """Give the URL of its keys."""
    with HttpPort("127.0.0.1:0", {"/keys": auth.answer}) as port:
        yield f"http://{port.address}/keys"


async def test_keys_are_read_once(auth: Auth, url: str) -> None:
    """Known and unknown ids within the pause cost one read."""
    keys = RemoteKeys(url)
    assert await keys.key("one") is not None
    assert await keys.key("two") is None
    assert auth.reads == 1


async def test_a_new_key_is_found_after_the_pause(auth: Auth, url: str) -> None:
    """An unknown id asks again."""
    keys = RemoteKeys(url, pause=0.0)
    assert await keys.key("two") is None
    auth.body = key_set("one", "two")
    assert await keys.key("two") is not None


async def test_a_known_key_outlives_the_auth_service(auth: Auth, url: str) -> None:
    """While the auth service gives nonsense what is known stays good and the rest is UNAVAILABLE,
    and it is not asked at each call.
    """
    keys = RemoteKeys(url, lifetime=0.0, pause=0.0)
    assert await keys.key("one") is not None
    auth.body = b"nonsense"
    assert await keys.key("one") is not None
    with pytest.raises(ServiceUnavailable):
        await keys.key("two")
    auth.body = key_set("two")
    assert await keys.key("two") is not None


async def test_no_auth_service_is_unavailable() -> None:
    """A closed port is no reason to call a token invalid."""
    keys = RemoteKeys("http://127.0.0.1:9/keys")
    for _ in range(2):
        with pytest.raises(ServiceUnavailable):
            await keys.key("one")
