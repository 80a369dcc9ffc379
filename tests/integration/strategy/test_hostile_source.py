"""Code that tries to get away: cases ST-16 to ST-21."""

import secrets
import socket
from typing import Any

import psutil
import pytest

from integration.failures import failure
from integration.strategy.test_strategies import create, new_id
from mesh.strategy.v1 import strategy_pb2 as pb
from mesh.strategy.v1 import strategy_service_pb2 as rpc

GOOD = "from nautilus_trader.trading.strategy import Strategy\nclass A(Strategy): pass\n"
DETACHED = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(3600)
    os._exit(0)
"""
STORM = (
    "import os, time\nfor _ in range(200):\n    if os.fork() == 0: time.sleep(60)\ntime.sleep(60)"
)
SHARED = """
import mmap
memory = mmap.mmap(-1, 4 * 2**30)
for start in range(0, 4 * 2**30, 2**20):
    memory[start:start + 2**20] = bytes(2**20)
"""
FORGED = """
import sys
frame = sys._getframe()
while frame.f_back: frame = frame.f_back
while 'nonce' not in frame.f_locals:
    frame = next(f for f in sys._current_frames().values())
    while frame and 'nonce' not in frame.f_locals: frame = frame.f_back
import json, os
answer = {'nonce': frame.f_locals['nonce'], 'class_name': 'A', 'config_class_name': 'B',
          'config_schema': SCHEMA}
os.write(frame.f_locals['pipe'], json.dumps(answer).encode() + b'\\n')
import time; time.sleep(3600)
"""


def named(name: str) -> str:
    """Return code that names its process, and all that it starts."""
    return f"import ctypes\nctypes.CDLL(None).prctl(15, b{name!r}, 0, 0, 0)\n"


def running(name: str) -> list[int]:
    """Return the processes of that name."""
    return [p.pid for p in psutil.process_iter() if p.name() == name]


async def test_st16_nothing_stays_behind(stub: Any) -> None:
    """ST-16: processes that detach themselves, and threads, end with the loading."""
    name = secrets.token_hex(6)
    await stub.CreateStrategy(create("detached", named(name) + DETACHED + GOOD))
    thread = "import threading, time\nthreading.Thread(target=time.sleep, args=(3600,)).start()\n"
    await stub.CreateStrategy(create("thread", named(name) + thread + GOOD))
    assert not running(name)


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        (SHARED, {"STRATEGY_LOAD_MEMORY"}),
        (STORM, {"STRATEGY_LOAD_MEMORY", "STRATEGY_SOURCE_INVALID"}),  # whichever is seen first
    ],
)
async def test_st17_all_processes_are_counted(stub: Any, text: str, reasons: set[str]) -> None:
    """ST-17: shared memory and storms of processes meet a limit too, and nothing stays."""
    name = secrets.token_hex(6)
    got = await failure(stub.CreateStrategy(create(text=named(name) + text)))
    assert got.reason in reasons
    assert not running(name)


async def test_st18_neither_others_secrets_nor_a_network(
    stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ST-18: code sees no other process' environment and reaches no local port."""
    monkeypatch.setenv("MESH_DATABASE_URL", "secret")
    text = """
import glob
seen = [open(path, 'rb').read() for path in glob.glob('/proc/[0-9]*/environ')]
assert seen and not any(b'MESH_DATABASE_URL' in each for each in seen), 'leak'
"""
    await stub.CreateStrategy(create("environ", text + GOOD))
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        text = f"import socket\nsocket.create_connection(('127.0.0.1', {port}), 2)\n"
        got = await failure(stub.CreateStrategy(create("net", text + GOOD)))
    assert (got.reason, got.metadata["stage"]) == ("STRATEGY_SOURCE_INVALID", "import")


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "http://127.0.0.1:9/schema.json"},
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/A"}}},
        {"type": "object", "properties": {"a": {"pattern": "^(a+)+$"}}},
        {"type": "object", "patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    ],
)
async def test_st19_a_forged_schema_hurts_nobody(stub: Any, schema: dict[str, object]) -> None:
    """ST-19: a schema that code forged is neither followed nor does it hold the service."""
    await stub.CreateStrategy(create(text=FORGED.replace("SCHEMA", repr(schema)) + GOOD))
    request = rpc.ValidateConfigRequest(strategy_id="ema", version="latest")
    request.config.update({"a": "a" * 40 + "!", "a" * 40 + "!": 1})
    await stub.ValidateConfig(request, timeout=5)
    forged = FORGED.replace("SCHEMA", "{'type': 'no such type'}")
    got = await failure(
        stub.CreateStrategyVersion(
            rpc.CreateStrategyVersionRequest(
                request_id=new_id(),
                strategy_id="ema",
                source=pb.StrategySource(files=[pb.SourceFile(path="a.py", text=forged)]),
            )
        )
    )
    assert (got.reason, got.metadata["stage"]) == ("STRATEGY_SOURCE_INVALID", "config")


async def test_st20_what_code_says_is_bounded(stub: Any) -> None:
    """ST-20: a message of a megabyte comes back shortened, with the line that raised it."""
    got = await failure(stub.CreateStrategy(create(text="a = 1\nraise ValueError('x' * 2**20)")))
    assert (got.reason, got.metadata["line"]) == ("STRATEGY_SOURCE_INVALID", "2")
    assert got.metadata["snippet"] == "raise ValueError('x' * 2**20)"
    assert len(got.message) < 2000


async def test_st21_output_without_end_is_a_timeout(stub: Any) -> None:
    """ST-21: a flood on every open file neither blocks nor fills anything."""
    text = """
import os
while True:
    for fd in range(64):
        try: os.write(fd, b'x' * 65536)
        except OSError: pass
"""
    got = await failure(stub.CreateStrategy(create(text=text)))
    assert got.reason in {"STRATEGY_LOAD_TIMEOUT", "STRATEGY_LOAD_EXITED"}
