"""One trader's process: what is wanted of it, driven to what is, a step at a time."""

import asyncio
import logging
from dataclasses import dataclass

from prometheus_client import Counter

from meshkit.database import Database
from services.live_execution import commanding, events
from services.live_execution.config import Launching
from services.live_execution.domain import FAILED, PENDING, STOPPED, Trader
from services.live_execution.launching.domain import Kept, Verdict, back_off, how
from services.live_execution.launching.ports import Launcher, Running
from services.live_execution.launching.store import KeepingStore
from services.live_execution.launching.tickets import Access, Tickets
from services.live_execution.logs import TraderLogs
from services.live_execution.names import TraderKey
from services.live_execution.trader.ports import Ticket

log = logging.getLogger("live_execution.launching")

DEATHS = Counter("mesh_trader_deaths_total", "Processes of traders that ended unasked.")

ORDERLY, GAVE_UP, REFUSED = 0, 3, 4
"""Exit codes: stopped as told; has said itself why it FAILED; another process has its lease."""

BIRTH_S = 60.0
"""What a process has to claim its lease."""

TAIL_LINES, TAIL_CHARS = 6, 1500
"""Of the log, in the message of a trader that failed."""


@dataclass(frozen=True)
class Means:
    """What all keepers share."""

    database: Database
    store: KeepingStore
    launcher: Launcher
    tickets: Tickets
    logs: TraderLogs
    config: Launching


@dataclass
class Keeper:
    """Keeps one trader; ``step`` is called again and again, never twice at once."""

    means: Means
    process: Running | None = None
    _told: float = 0.0
    _lapsed: float = 0.0

    async def step(self, kept: Kept) -> float:
        """Do what is due; return the seconds until it is to be called again at the latest."""
        self._meet(kept.trader)
        if self.process is not None and not self.process.dead:
            return await self._with_process(kept, self.process)
        if kept.trader.pid:
            await self.bury(kept)
            return 0.0
        self._drop()
        return await self._without_process(kept)

    async def stop(self) -> None:
        """End the process, in order if it can; ``bury`` follows."""
        ends = asyncio.get_running_loop().time() + self.means.config.end_s
        while self.process is not None and not self.process.dead:
            self._end(self.process)
            if asyncio.get_running_loop().time() >= ends:
                self.process.kill()
            await asyncio.sleep(0.02)

    def let_go(self) -> None:
        """Leave the process alone; it lives on."""
        self._drop()

    def _meet(self, trader: Trader) -> None:
        """Hold the process that the trader has, and no other."""
        known = self.process
        if known is not None and (known.pid, known.started) == (trader.pid, trader.pid_start):
            return
        if known is not None and trader.pid:
            known.kill()  # another process has the trader's lease: ours was refused, or too late
        if trader.pid and trader.host == self.means.config.host:
            self._drop()
            self.process = self.means.launcher.adopt(trader.pid, trader.pid_start)
            if self.process is not None:
                log.info("trader adopted", extra={**trader.key._asdict(), "pid": trader.pid})

    def _drop(self) -> None:
        if self.process is not None:
            self.process.close()
        self.process, self._told, self._lapsed = None, 0.0, 0.0

    # ---- a process lives -----------------------------------------------------------------------

    async def _with_process(self, kept: Kept, process: Running) -> float:
        trader, answers = kept.trader, kept.lease_left > 0
        await self.means.logs.rotate(trader, self.means.config.log_mb * 2**20)
        if not trader.due:
            if kept.settle_left > 0 and kept.settling and answers and not kept.settled:
                return 0.2
            return self._end(process)
        if self._told:
            return self._end(process)
        if trader.safety_mode != trader.process_safety:
            if answers or self._is_young(kept):
                return self._end(process)
            process.kill()
            return 0.2
        await self._watch_lease(kept)
        return 1.0

    def _end(self, process: Running) -> float:
        """Tell a process to stop, and end it when it does not; returns when to look again."""
        now = asyncio.get_running_loop().time()
        if not self._told:
            self._told = now
            process.terminate()
        left = self._told + self.means.config.stop_s - now
        if left <= 0:
            process.kill()
            return 0.2
        return min(left, 1.0)

    def _is_young(self, kept: Kept) -> bool:
        """Whether a process has yet to claim its lease, and has the time to."""
        return kept.trader.lease_until is None and kept.age < BIRTH_S

    async def _watch_lease(self, kept: Kept) -> None:
        """Show a process that lives without a lease, seen so for a while and without a break."""
        now = asyncio.get_running_loop().time()
        if kept.lease_left > 0 or self._is_young(kept):
            self._lapsed = 0.0
        elif not self._lapsed:
            self._lapsed = now
        silent = bool(self._lapsed) and now - self._lapsed >= self.means.config.silence_s
        if silent == (kept.trader.unresponsive_time is not None):
            return
        if self._lapsed and not silent:
            return
        async with self.means.database.transaction() as tx:
            changed = await self.means.store.mark(tx, kept.trader, unresponsive=silent)
            if changed is not None:
                await events.tell(tx, changed)

    # ---- its end -------------------------------------------------------------------------------

    async def bury(self, kept: Kept) -> None:
        """Note that the process is dead, and what follows from that."""
        code = self.process.code if self.process is not None else None
        verdict = await self._verdict(kept, code)
        async with self.means.database.transaction() as tx:
            await commanding.expire(tx, kept.trader.key, kept.settling)
            buried = await self.means.store.bury(tx, kept.trader, verdict)
            if buried is not None:
                await events.tell(tx, buried)
        about = {**kept.trader.key._asdict(), "pid": kept.trader.pid, "code": code}
        if verdict.died:
            DEATHS.inc()
            log.warning("a trader's process died", extra=about)
        else:
            log.info("a trader's process has ended", extra=about)
        self._drop()
        await self.means.tickets.revoke(kept.trader.key, kept.api_key_id)

    async def _verdict(self, kept: Kept, code: int | None) -> Verdict:
        """Return what becomes of a trader whose process is dead."""
        trader, config = kept.trader, self.means.config
        if not trader.due:
            return Verdict(FAILED if trader.state == FAILED else STOPPED, wanted=False)
        if code == GAVE_UP or (trader.state == FAILED and code != REFUSED):
            return Verdict(FAILED, *self._why(trader), wanted=False)
        if code == REFUSED or self._told:
            return Verdict(PENDING)
        recent = 1 + sum(age < config.deaths_s for age in kept.deaths)
        if recent < config.most_deaths:
            text = f"Its process {how(code)}. It is started again."
            return Verdict(PENDING, "TRADER_DIED", text, died=True)
        tail = await asyncio.to_thread(self._tail, trader)
        text = (
            f"Its process {how(code)}, {recent} times in {config.deaths_s:.0f} s. Mend the "
            f"cause, then StartTrader. The end of its log:\n{tail}"
        )
        return Verdict(FAILED, "TRADER_FAILED", text, died=True, wanted=False)

    def _why(self, trader: Trader) -> tuple[str, str]:
        """Return reason and message of a trader that gave up; empty when it has said them."""
        if trader.state == FAILED:
            return "", ""
        return "TRADER_FAILED", f"It gave up. The end of its log:\n{self._tail(trader)}"

    def _tail(self, trader: Trader) -> str:
        return "\n".join(self.means.logs.tail(trader, TAIL_LINES))[-TAIL_CHARS:]

    # ---- none lives ----------------------------------------------------------------------------

    async def _without_process(self, kept: Kept) -> float:
        if not kept.trader.due:
            return 1.0
        if (pause := self._pause(kept)) > 0:
            return pause
        try:
            await self._launch(kept)
        except OSError as error:
            log.exception("a trader cannot be started", extra=kept.trader.key._asdict())
            await self._say(kept, "TRADER_FAILED", f"No process can be started: {error.strerror}.")
        return 1.0

    def _pause(self, kept: Kept) -> float:
        """Return the seconds until a process may be started: back-off, and another's lease."""
        config = self.means.config
        recent = [age for age in kept.deaths if age < config.deaths_s]
        rest = back_off(len(recent), config.back_off_s, config.longest_back_off_s)
        return max(rest - recent[-1] if recent else 0.0, kept.lease_left + config.margin_s)

    async def _launch(self, kept: Kept) -> None:
        key = kept.trader.key
        access = await self.means.tickets.access(kept)
        if access is None:
            text = "The auth service gives no key for its data. It is tried again."
            await self._say(kept, "SERVICE_UNAVAILABLE", text)
            return
        process = await self.means.launcher.start(kept.trader)
        ticket = None
        try:
            ticket = await self._claim(key, process, access)
        finally:  # also when the store is away, or this service is told to stop
            if ticket is None:
                process.kill()
                process.close()
        if ticket is None:  # it is no longer wanted, or another has started it
            await self.means.tickets.revoke(key, access.api_key_id)
            return
        self.process = process
        process.hand(ticket)
        log.info("trader started", extra={**key._asdict(), "pid": process.pid})

    async def _claim(self, key: TraderKey, process: Running, access: Access) -> Ticket | None:
        """Note the process before it may begin; None when it is no longer wanted."""
        host = self.means.config.host
        async with self.means.database.transaction() as tx:
            trader = await self.means.store.claim(tx, key, host, process.pid, process.started)
            if trader is None:
                return None
            await self.means.store.set_api_key(tx, key, access.api_key_id)
            return await self.means.tickets.make(tx, trader, access)

    async def _say(self, kept: Kept, reason: str, message: str) -> None:
        async with self.means.database.transaction() as tx:
            changed = await self.means.store.say(tx, kept.trader, reason, message)
            if changed is not None:
                await events.tell(tx, changed)
