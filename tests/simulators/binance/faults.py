"""What goes wrong on command: REST failures, and messages that no client can read."""

import asyncio
import json
from dataclasses import dataclass

from aiohttp import web

PAGE = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"

# What the venue never sends, by kind; {symbol} is filled in, {name} is the symbol in lower case.
GARBAGE = {
    "not_json": "<html>502 Bad Gateway</html>",
    "half": '{{"stream":"{name}@bookTicker","data":{{"u":1,"s":"{symbol}",',
    "list": "[1,2,3]",
    "null": "null",
    "wrong_shape": '{{"stream":"{name}@bookTicker","data":{{"s":7,"u":"x"}}}}',
    "no_data": '{{"stream":"{name}@trade"}}',
    "unknown_stream": '{{"stream":"{name}@nothing","data":{{}}}}',
    "unknown_symbol": '{{"stream":"nonesuch@bookTicker","data":{{"u":1,"s":"NONESUCH",'
    '"b":"1.00","B":"1.000","a":"2.00","A":"1.000"}}}}',
    "bad_number": '{{"stream":"{name}@bookTicker","data":{{"u":1,"s":"{symbol}",'
    '"b":"abc","B":"1.000","a":"NaN","A":""}}}}',
    "negative": '{{"stream":"{name}@bookTicker","data":{{"u":1,"s":"{symbol}",'
    '"b":"1.00","B":"-1.000","a":"2.00","A":"1.000"}}}}',
    "huge": '{{"stream":"{name}@bookTicker","data":{{"u":1,"s":"{symbol}",'
    '"b":"99999999999999999999.00","B":"1.000","a":"2.00","A":"1.000"}}}}',
}


def garbage(kind: str, symbol: str) -> str:
    """Give a message of a kind of `GARBAGE`; raises ValueError for another kind."""
    if kind not in GARBAGE:
        raise ValueError(f"garbage is one of {', '.join(GARBAGE)}")
    return GARBAGE[kind].format(symbol=symbol, name=symbol.lower())


@dataclass
class Failure:
    """How the next REST calls fail: ``times`` of them, under a path that starts with ``path``."""

    status: int
    times: int
    path: str
    retry_after: int
    body: str | None


class Failures:
    """The REST faults that are on."""

    def __init__(self) -> None:
        self._next: list[Failure] = []
        self._delay = 0.0

    def add(self, failure: Failure) -> None:
        """Let calls fail."""
        self._next.append(failure)

    def delay(self, seconds: float) -> None:
        """Answer each call that much later."""
        self._delay = seconds

    def clear(self) -> None:
        """Let calls succeed, at once."""
        self._next.clear()
        self._delay = 0.0

    async def answer(self, path: str, now: int) -> web.Response | None:
        """Give what to answer in place of the venue; None lets the call through."""
        if self._delay:
            await asyncio.sleep(self._delay)
        for failure in self._next:
            if path.startswith(failure.path):
                failure.times -= 1
                if failure.times <= 0:
                    self._next.remove(failure)
                return _failed(failure, now)
        return None


def _failed(failure: Failure, now: int) -> web.Response:
    if failure.body is not None:
        return web.Response(
            status=failure.status, text=failure.body, content_type="application/json"
        )
    if failure.status not in (418, 429):
        return web.Response(status=failure.status, text=PAGE, content_type="text/html")
    banned = now + 1000 * failure.retry_after
    used = "Too much request weight used; current limit is 6000 request weight per 1 MINUTE."
    ban = f"Way too much request weight used; IP banned until {banned}."
    text = {"code": -1003, "msg": ban if failure.status == 418 else used}
    headers = {"Retry-After": str(failure.retry_after)}
    return web.Response(
        status=failure.status,
        text=json.dumps(text),
        content_type="application/json",
        headers=headers,
    )
