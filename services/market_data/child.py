"""One call in a process of its own: it may take all the time and die of the file, we go on.

Processes come from a forkserver whose parent only imports.
"""

import asyncio
import logging
import multiprocessing
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

from meshkit.errors import MeshError
from services.market_data.errors import ImportFault

log = logging.getLogger("market_data.child")

PRELOAD = "services.market_data.preparing"
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload([PRELOAD])


class ChildDied(Exception):
    """The process ended without an answer: out of memory, or killed."""


async def in_child[Result](function: Callable[..., Result], *arguments: Any) -> Result:
    """Return what a function of a module returns in a new process; it may raise ``ImportFault``
    or a ``MeshError``.

    A cancellation kills the process. Raises ``ChildDied`` when it ends without an answer.
    """
    ours, theirs = _context.Pipe(duplex=False)
    process = _context.Process(target=_main, args=(theirs, function, arguments), daemon=True)
    try:
        await asyncio.to_thread(process.start)
        theirs.close()
        kind, value = await asyncio.to_thread(ours.recv)
    except EOFError:
        await asyncio.to_thread(process.join)
        log.error("process died", extra={"exit_code": process.exitcode})
        raise ChildDied from None
    finally:
        if process.pid is not None:
            process.kill()
            await asyncio.to_thread(process.join)
        ours.close()
    if kind == "fault":
        raise ImportFault(*value)
    if kind == "refused":
        raise value
    if kind == "error":
        raise RuntimeError(value)
    result: Result = value
    return result


def _main(pipe: Connection, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    answer: tuple[str, Any]
    try:
        answer = ("done", function(*arguments))
    except ImportFault as fault:
        answer = ("fault", (fault.reason, fault.message, fault.faults, fault.count))
    except MeshError as error:
        answer = ("refused", error)
    except MemoryError:
        return  # as if the system had killed it
    except Exception:
        answer = ("error", traceback.format_exc())  # told in the parent's log
    pipe.send(answer)
