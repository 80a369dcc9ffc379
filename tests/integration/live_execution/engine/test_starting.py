"""EX-16 to EX-19: traders that cannot start say why, and keep their secrets."""

import json
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from integration.live_execution.engine.bench import TRADER, spec_of
from integration.live_execution.engine.local import LocalOutside
from mesh.execution.v1 import trader_pb2 as pb
from services.live_execution.engine import main, node
from services.live_execution.engine.running import Running
from services.live_execution.trader.ports import SecretsRefused, Ticket

NOWHERE = {
    "account_type": "USDT_FUTURES",
    "base_url_http": "http://127.0.0.1:9",
    "base_url_ws": "ws://127.0.0.1:9",
}
SECRETS = {"api_key": "key-of-a-test", "api_secret": "secret-of-a-test"}


class Outside(LocalOutside):
    """One that gives secrets, or refuses them."""

    given: Mapping[str, str] = SECRETS
    why: SecretsRefused | None = None

    async def secrets(self, credential_id: str) -> Mapping[str, str]:
        """Give what the test has set."""
        assert credential_id == "mine"
        if self.why is not None:
            raise self.why
        return self.given


def real(config: Mapping[str, Any]) -> pb.TraderSpec:
    """Return the spec of a trader at Binance."""
    live = {"adapter": "BINANCE", "configJson": json.dumps(config), "credentialId": "mine"}
    return spec_of(venues=[{"venue": "BINANCE", "live": live}])


@pytest.fixture
def outside(tmp_path: Path) -> Outside:
    """Return an outside."""
    return Outside(tmp_path / "journal")


async def lived(outside: Outside, spec: pb.TraderSpec) -> tuple[int, pb.Trader]:
    """Run a trader that ends by itself; return its code and what it has told last."""
    nobody = ("127.0.0.1:9", "none")
    made = Ticket("p", TRADER, spec.SerializeToString(), (), "", "", "", *nobody)
    code = await main.live(made, outside)
    told = [f.trader.trader for f in outside.facts if f.HasField("trader")]
    return code, told[-1]


async def test_unreachable(
    outside: Outside, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """EX-16: with its venue out of reach a trader ends to be tried again; no secret is seen."""
    monkeypatch.setattr(node, "CONNECT_S", 0.5)
    code, told = await lived(outside, real(NOWHERE))
    assert (code, told.reason) == (main.DIED, "VENUE_UNREACHABLE")
    assert "BINANCE (orders)" in told.message
    assert told.real
    seen = capfd.readouterr()
    written = b"".join(fact.SerializeToString() for fact in outside.facts)
    for secret in SECRETS.values():
        assert secret not in seen.out + seen.err
        assert secret.encode() not in written


@pytest.mark.parametrize(
    ("config", "reason", "text"),
    [
        ({"account_typ": "SPOT"}, "INVALID_FIELD", "config_json.account_typ"),
        ({"account_type": "MOON"}, "INVALID_FIELD", "config_json.account_type"),
        ({"api_key": "x"}, "SECRET_IN_CONFIG", "config_json.api_key"),
    ],
)
async def test_bad_config(
    outside: Outside, config: Mapping[str, Any], reason: str, text: str
) -> None:
    """EX-17: a bad config of a venue is FAILED, and names its field."""
    code, told = await lived(outside, real(config))
    assert (code, told.state, told.reason) == (main.FAILED, pb.TRADER_STATE_FAILED, reason)
    assert text in told.message


async def test_no_secrets(outside: Outside) -> None:
    """EX-18: missing or refused secrets are FAILED; what passes by is tried again."""
    outside.given = {"api_key": "half"}
    code, told = await lived(outside, real(NOWHERE))
    assert (code, told.reason) == (main.FAILED, "VENUE_CREDENTIAL_MISSING")
    assert "api_secret" in told.message
    outside.why = SecretsRefused("CREDENTIAL_EXPIRED", "Rotate it.")
    code, told = await lived(outside, real(NOWHERE))
    assert (code, told.reason) == (main.FAILED, "CREDENTIAL_EXPIRED")
    outside.why = SecretsRefused("SERVICE_UNAVAILABLE", "Nobody answers.")
    code, told = await lived(outside, real(NOWHERE))
    assert (code, told.state) == (main.DIED, pb.TRADER_STATE_STARTING)


async def test_stopped_while_it_starts(outside: Outside, monkeypatch: pytest.MonkeyPatch) -> None:
    """EX-19: a trader that is told to stop while it connects stops at once, in order."""
    own = Running.start

    async def start(trader: Running) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return await own(trader)

    monkeypatch.setattr(Running, "start", start)
    code, told = await lived(outside, real(NOWHERE))
    assert (code, told.state) == (main.STOPPED, pb.TRADER_STATE_STOPPED)
