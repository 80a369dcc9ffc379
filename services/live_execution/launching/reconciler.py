"""Drives what is wanted of the traders of a host to what is."""

import asyncio
import logging
import os
from contextlib import suppress

from meshkit.bell import Bell
from meshkit.link import ERRORS, Link
from services.live_execution.launching.domain import Kept
from services.live_execution.launching.keeper import Keeper, Means
from services.live_execution.launching.process import is_alive
from services.live_execution.names import TraderKey
from services.live_execution.trader.lease import start_ticks

log = logging.getLogger("live_execution.launching")

LEAD_S = 6.0
"""How long the right to keep a host's traders is given; it is renewed at every look."""

LOOK_S = 1.0
"""Seconds between looks when nothing happens."""


class Reconciler:
    """A background task; ``async with`` starts and ends it.

    Of several services on one host only one keeps the traders; another takes over when it dies.
    ``bell`` rings when something is wanted, or a process has died.
    """

    def __init__(self, means: Means, bell: Bell) -> None:
        self._means, self._bell = means, bell
        self._keepers: dict[TraderKey, Keeper] = {}
        self._steps: dict[TraderKey, asyncio.Task[None]] = {}
        self._link = Link("traders")
        self._me = (os.getpid(), start_ticks(os.getpid()))
        self._leads = False

    async def __aenter__(self) -> "Reconciler":
        self._task = asyncio.create_task(self._run(), name="reconciler")
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (self._task, *self._steps.values()):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        try:
            with suppress(*ERRORS):
                async with asyncio.timeout(self._means.config.end_s + 5):
                    await self._leave()
        finally:
            for keeper in self._keepers.values():
                keeper.let_go()

    async def _leave(self) -> None:
        if not self._means.config.stay and self._leads:
            await asyncio.gather(*(keeper.stop() for keeper in self._keepers.values()))
            for kept in await self._kept():
                if keeper := self._keepers.get(kept.trader.key):
                    await keeper.bury(kept)
        async with self._means.database.connection() as tx:
            await self._means.store.resign(tx, self._means.config.host, *self._me)

    async def _kept(self) -> list[Kept]:
        async with self._means.database.connection() as tx:
            return await self._means.store.kept(tx, self._means.config.host)

    async def _run(self) -> None:
        while True:
            pause = LOOK_S
            try:
                if await self._lead():
                    await self._look()
                self._link.up()
            except ERRORS as error:
                pause = self._link.down(error)
            except Exception as error:  # a bug must not end it for good without a word
                log.exception("traders are not looked after")
                pause = self._link.down(error)
            await self._bell.wait(pause)

    async def _lead(self) -> bool:
        """Take or keep the right; from a dead process of this host at once."""
        store, host = self._means.store, self._means.config.host
        async with self._means.database.connection() as tx:
            leads = await store.lead(tx, host, *self._me, LEAD_S)
            if not leads:
                other = await store.leader(tx, host)
                if not is_alive(*other):
                    await store.resign(tx, host, *other)
                    leads = await store.lead(tx, host, *self._me, LEAD_S)
        if leads != self._leads:
            log.info("keeps the traders of this host" if leads else "another keeps them")
            self._leads = leads
        return leads

    async def _look(self) -> None:
        """Let every keeper that is free do a step."""
        busy = set(self._steps)  # what is read of their traders may be old when they are done
        kept = {each.trader.key: each for each in await self._kept()}
        busy |= set(self._steps)
        for key in self._keepers.keys() - kept.keys() - busy:
            self._keepers.pop(key).let_go()
        for key in kept.keys() - busy:
            keeper = self._keepers.setdefault(key, Keeper(self._means))
            step = self._step(key, keeper, kept[key])
            self._steps[key] = asyncio.create_task(step, name=f"keeper of {key.trader_id}")

    async def _step(self, key: TraderKey, keeper: Keeper, kept: Kept) -> None:
        again = LOOK_S
        try:
            again = await keeper.step(kept)
        except ERRORS as error:
            text = f"{type(error).__name__}: {error}"
            log.warning("a store is away", extra={**key._asdict(), "error": text})
        except Exception:  # one trader's fault must not stop the others
            log.exception("a trader is not looked after", extra=key._asdict())
        finally:
            del self._steps[key]
            if again < LOOK_S:
                asyncio.get_running_loop().call_later(again, self._bell.ring)
