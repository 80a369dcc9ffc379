"""Code that cannot be stored, each with its typed error: cases ST-10 to ST-15."""

from typing import Any

import pytest

from integration.failures import failure
from integration.strategy.conftest import Served
from integration.strategy.test_strategies import create, module, new_id
from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc

TWO = """
from nautilus_trader.trading.strategy import Strategy
class A(Strategy): pass
class B(Strategy): pass
"""
BAD_CONFIG = """
from nautilus_trader.config import StrategyConfig
from nautilus_trader.trading.strategy import Strategy
class Odd: pass
class AConfig(StrategyConfig, frozen=True):
    odd: Odd
class A(Strategy): pass
"""


@pytest.mark.parametrize(
    ("text", "reason", "metadata"),
    [
        ("a = 1\ndef f(:\n", "STRATEGY_SOURCE_INVALID", {"stage": "syntax", "line": "2"}),
        ("a = 1\n\nb = a / 0\n", "STRATEGY_SOURCE_INVALID", {"stage": "import", "line": "3"}),
        ("import nothing_there", "STRATEGY_SOURCE_INVALID", {"stage": "import", "file": "it.py"}),
        ("a = 1", "STRATEGY_SOURCE_INVALID", {"stage": "class"}),
        (TWO, "STRATEGY_SOURCE_INVALID", {"stage": "class"}),
        (BAD_CONFIG, "STRATEGY_SOURCE_INVALID", {"stage": "config"}),
        ("while True: pass", "STRATEGY_LOAD_TIMEOUT", {"seconds": "6"}),
        ("import time; time.sleep(60)", "STRATEGY_LOAD_TIMEOUT", {"seconds": "6"}),
        ("import sys; sys.exit(3)", "STRATEGY_LOAD_EXITED", {"line": "1"}),
        ("import os; os._exit(4)", "STRATEGY_LOAD_EXITED", {"exit_code": "4"}),
        ("import os; os.kill(os.getpid(), 11)", "STRATEGY_LOAD_EXITED", {"exit_code": "139"}),
        ("x = bytearray(2**31)", "STRATEGY_LOAD_MEMORY", {"limit_mb": "256"}),
        (
            "x = []\nwhile True: x.append(bytearray(2**20))",
            "STRATEGY_LOAD_MEMORY",
            {"limit_mb": "256"},
        ),
    ],
)
async def test_st10_bad_code_is_named(
    stub: Any, text: str, reason: str, metadata: dict[str, str]
) -> None:
    """ST-10: the error says what is wrong, in which line, and nothing is stored."""
    got = await failure(stub.CreateStrategy(create(text=text)))
    assert (got.code, got.reason) == ("INVALID_ARGUMENT", reason)
    assert metadata.items() <= got.metadata.items()
    assert "Traceback" not in got.message
    assert not (await stub.ListStrategies(rpc.ListStrategiesRequest())).strategies


async def test_st11_user_code_sees_no_secrets(stub: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """ST-11: the loading process has neither our environment nor our working folder."""
    monkeypatch.setenv("MESH_DATABASE_URL", "secret")
    text = "import os\nraise RuntimeError(*os.environ, os.listdir('.'))"
    got = await failure(stub.CreateStrategy(create(text=text)))
    assert got.message.endswith(", [])")
    seen = set(got.message.partition("RuntimeError: ")[2].strip("()").split(", "))
    known = {"'HOME'", "'LC_CTYPE'", "'PATH'", "'PYTHONPATH'", "'GRPC_ENABLE_FORK_SUPPORT'", "[]"}
    assert seen <= known


async def test_st12_printing_is_no_answer(stub: Any) -> None:
    """ST-12: what user code prints, to whichever file, is not taken for the loader's answer."""
    text = """
import os
for fd in range(64):
    try:
        os.write(fd, b'{"class_name": "Forged", "config_class_name": "", "config_schema": {}}\\n')
    except OSError:
        pass
"""
    got = await failure(stub.CreateStrategy(create(text=text)))
    assert got.reason in {"STRATEGY_LOAD_EXITED", "STRATEGY_SOURCE_INVALID"}


@pytest.mark.parametrize(
    ("request_", "reason", "fields"),
    [
        (create("Upper"), "INVALID_FIELD", {"strategy_id"}),
        (create(kind=0), "INVALID_FIELD", {"kind"}),
        (create(kind=77), "INVALID_FIELD", {"kind"}),
        (create(request_id="1"), "INVALID_FIELD", {"request_id"}),
        (
            rpc.CreateStrategyVersionRequest(request_id=new_id(), strategy_id="x"),
            "INVALID_FIELD",
            {"source"},
        ),
    ],
)
async def test_st13_fields_are_checked(
    stub: Any, request_: Any, reason: str, fields: set[str]
) -> None:
    """ST-13: a field that breaks its rule is named."""
    method = type(request_).__name__.removesuffix("Request")
    got = await failure(getattr(stub, method)(request_))
    assert (got.reason, set(got.fields)) == (reason, fields)


async def test_st14_importable_paths_are_allowed_by_name(stub: Any) -> None:
    """ST-14: a module outside the allowed ones is not imported."""
    source = pb.StrategySource(importable_path="os.path:join")
    request = rpc.ValidateSourceRequest(kind=pb.COMPONENT_KIND_STRATEGY, source=source)
    assert (await failure(stub.ValidateSource(request))).reason == "IMPORT_NOT_ALLOWED"


async def test_st15_scopes_are_checked(served: Served) -> None:
    """ST-15: reading does not allow writing."""
    reader = await served.stub("strategy.read")
    got = await failure(reader.CreateStrategy(create()))
    assert (got.reason, got.metadata) == ("SCOPE_MISSING", {"scope": "strategy.write"})
    both = pb.StrategySource(importable_path="a:B", files=module("x").files)
    request = rpc.ValidateSourceRequest(kind=pb.COMPONENT_KIND_STRATEGY, source=both)
    writer = await served.stub("strategy.write")
    assert (await failure(writer.ValidateSource(request))).reason == "INVALID_FIELD"
