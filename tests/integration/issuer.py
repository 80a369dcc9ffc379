"""Tokens of the tests' own: an issuer with one key that servers take as their key source."""

import time
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from meshkit.tokens import AUDIENCE, ISSUER


class Signer:
    """Signs tokens and lists its public key as a ``meshkit.tokens.Keys``."""

    def __init__(self) -> None:
        self._private = ec.generate_private_key(ec.SECP256R1())
        public = jwt.algorithms.ECAlgorithm.to_jwk(self._private.public_key(), as_dict=True)
        self.jwk = {**public, "kid": "k1", "alg": "ES256", "use": "sig"}
        self._jwk = jwt.PyJWK(self.jwk)

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the public key."""
        return self._jwk if key_id == "k1" else None

    def token(self, *scopes: str, lifetime: float = 60.0, kid: str = "k1", **claims: Any) -> str:
        """Return a token of ``tester`` in project ``default``, unless the claims say otherwise."""
        now = time.time()
        payload = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "tester",
            "scopes": list(scopes),
            "projects": ["default"],
            "iat": now,
            "exp": now + lifetime,
            **claims,
        }
        return jwt.encode(payload, self._private, algorithm="ES256", headers={"kid": kid})
