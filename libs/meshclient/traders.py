"""Traders: make, start, stop, watch, and change their strategies."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any

import grpc.aio

from mesh.execution.v1 import trader_pb2 as pb
from mesh.execution.v1 import trader_service_pb2 as rpc
from mesh.execution.v1.events_pb2 import TraderFact
from mesh.execution.v1.trader_service_pb2_grpc import TraderServiceStub
from meshclient import trader_spec, words
from meshclient.connection import Retry
from meshclient.errors import JobFailed, MeshClientError
from meshclient.facts import FactWatch, unpacker
from meshclient.group import Group, new_request_id

type Spec = pb.TraderSpec | Mapping[str, Any]
"""A spec, or its fields as plain data, in the short forms of a spec file."""

WORKING = ("RUNNING", "DEGRADED", "HALTED")
"""States in which a trader's process is there and reconciled."""

_OVERLAP = 1000  # lines that are asked for again when a log that is followed breaks
_PATIENCE = 60.0
_RESUMED = {"UNAVAILABLE", "UNAUTHENTICATED", "DEADLINE_EXCEEDED"}


class Traders(Group):
    """``mesh.traders``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return TraderServiceStub(channel)

    async def create(
        self,
        trader_id: str,
        spec: Spec,
        *,
        labels: Mapping[str, str] | None = None,
        start: bool = False,
    ) -> pb.Trader:
        """Check and store a trader; with ``start`` it is wanted to run from now on.

        ``trader_id`` is a name, a hyphen and a tag in capitals, such as ``EMA-001``.
        """
        request = self._change(rpc.CreateTraderRequest, trader_id)
        request.spec.CopyFrom(trader_spec.message(spec))
        request.labels.update(labels or {})
        request.start = start
        return await self._trader("CreateTrader", request)

    async def update(
        self,
        trader_id: str,
        spec: Spec,
        *,
        labels: Mapping[str, str] | None = None,
        etag: str = "",
    ) -> pb.Trader:
        """Replace spec and labels of a trader that does not run; its orders and positions stay.

        ``labels`` None keeps those that it has.
        """
        if labels is None:
            labels = dict((await self.get(trader_id)).labels)
        request = self._change(rpc.UpdateTraderRequest, trader_id)
        request.spec.CopyFrom(trader_spec.message(spec))
        request.labels.update(labels)
        request.etag = etag
        return await self._trader("UpdateTrader", request)

    async def start(self, trader_id: str) -> pb.Trader:
        """Want a trader to run, and return at once; ``wait`` waits until it does."""
        return await self._trader("StartTrader", self._change(rpc.StartTraderRequest, trader_id))

    async def stop(
        self, trader_id: str, *, cancel_orders: bool = False, close_positions: bool = False
    ) -> pb.Trader:
        """Want a trader not to run, and return at once; orders and positions stay unless told."""
        request = self._change(rpc.StopTraderRequest, trader_id)
        request.cancel_orders, request.close_positions = cancel_orders, close_positions
        return await self._trader("StopTrader", request)

    async def delete(self, trader_id: str, *, force: bool = False) -> None:
        """Remove a trader that does not run, with its history.

        ``force``: although something is open at a real venue.
        """
        request = self._change(rpc.DeleteTraderRequest, trader_id)
        request.force = force
        await self._call("DeleteTrader", request)

    async def get(self, trader_id: str) -> pb.Trader:
        """Return a trader as it is."""
        request = rpc.GetTraderRequest(project=self._project, trader_id=trader_id)
        return await self._trader("GetTrader", request)

    async def list(
        self, *, states: Sequence[str | int] = (), label: str = "", limit: int | None = None
    ) -> Sequence[pb.Trader]:
        """Return traders by id, without the configs of their strategies.

        ``states`` such as ``RUNNING``; ``label`` as ``key=value``.
        """
        request: Any = rpc.ListTradersRequest(project=self._project, label=label)
        request.states.extend(words.value(pb.TraderState, each, "states") for each in states)
        return [each async for each in self._pages("ListTraders", request, "traders", limit)]

    def watch(
        self,
        *trader_ids: str,
        cursor: str = "",
        broken: Callable[[MeshClientError], None] = lambda fault: None,
        patience: float = _PATIENCE,
    ) -> FactWatch[pb.TraderChanged | TraderFact]:
        """Watch traders: iterate over it. Each ``told.fact`` is a ``TraderChanged`` or a
        ``TraderFact`` (a strategy that failed, a broken limit, a flatten, the clock of a replay).

        No ids means all of the project, those too that are made later. ``broken(fault)`` is
        called when the stream broke, before it goes on where it was.
        """

        def after(place: str) -> rpc.WatchTradersRequest:
            return rpc.WatchTradersRequest(
                project=self._project, trader_ids=trader_ids, after_cursor=place
            )

        messages = self._connection.watch(
            self._stub.WatchTraders, after, cursor=cursor, broken=broken, patience=patience
        )
        return FactWatch(messages, unpacker(pb.TraderChanged, TraderFact), cursor)

    async def wait(
        self,
        trader_id: str,
        *states: str,
        seconds: float = 120.0,
        progress: Callable[[pb.Trader], None] = lambda trader: None,
    ) -> pb.Trader:
        """Return a trader as soon as it is in one of ``states`` (RUNNING, DEGRADED or HALTED).

        ``progress(trader)`` is called with each state. Raises ``JobFailed`` when it is FAILED,
        and ``TRADER_UNRESPONSIVE`` after ``seconds``.
        """
        wanted = {words.value(pb.TraderState, each, "states") for each in states or WORKING}
        try:
            async with asyncio.timeout(seconds), self.watch(trader_id) as watch:
                await watch.attach()
                async for trader in self._states(trader_id, watch):
                    progress(trader)
                    if trader.state in wanted:
                        return trader
                    if trader.state == pb.TRADER_STATE_FAILED:
                        raise JobFailed(trader.message, reason=trader.reason, resource=trader)
        except TimeoutError:
            pass
        raise MeshClientError(
            f"{trader_id} has not come to {' or '.join(states or WORKING)} in {seconds:g} s.",
            code="DEADLINE_EXCEEDED",
            reason="TRADER_UNRESPONSIVE",
        )

    async def _states(
        self, trader_id: str, watch: FactWatch[pb.TraderChanged | TraderFact]
    ) -> AsyncIterator[pb.Trader]:
        """Yield a trader as it is, and after each of its changes."""
        yield await self.get(trader_id)
        async for told in watch:
            if (changed := change_of(told.fact)) is not None and not changed.deleted:
                yield changed.trader

    async def add_strategy(
        self, trader_id: str, strategy: pb.TraderStrategy | Mapping[str, Any]
    ) -> rpc.AddStrategyResponse:
        """Add a strategy; it starts when the trader runs and it is not ``stopped``."""
        request = self._change(rpc.AddStrategyRequest, trader_id)
        request.strategy.CopyFrom(trader_spec.strategy(strategy))
        reply: rpc.AddStrategyResponse = await self._call("AddStrategy", request)
        return reply

    async def start_strategy(self, trader_id: str, order_id_tag: str) -> rpc.StartStrategyResponse:
        """Start a strategy of a running trader that is stopped or has failed."""
        request = self._strategy(rpc.StartStrategyRequest, trader_id, order_id_tag)
        reply: rpc.StartStrategyResponse = await self._call("StartStrategy", request)
        return reply

    async def stop_strategy(
        self,
        trader_id: str,
        order_id_tag: str,
        *,
        cancel_orders: bool = False,
        close_positions: bool = False,
    ) -> rpc.StopStrategyResponse:
        """Stop a strategy alone; its state is saved."""
        request = self._strategy(rpc.StopStrategyRequest, trader_id, order_id_tag)
        request.cancel_orders, request.close_positions = cancel_orders, close_positions
        reply: rpc.StopStrategyResponse = await self._call("StopStrategy", request)
        return reply

    async def remove_strategy(
        self,
        trader_id: str,
        order_id_tag: str,
        *,
        cancel_orders: bool = False,
        close_positions: bool = False,
    ) -> rpc.RemoveStrategyResponse:
        """Stop a strategy and take it out of the trader."""
        request = self._strategy(rpc.RemoveStrategyRequest, trader_id, order_id_tag)
        request.cancel_orders, request.close_positions = cancel_orders, close_positions
        reply: rpc.RemoveStrategyResponse = await self._call("RemoveStrategy", request)
        return reply

    async def log(
        self, trader_id: str, *, tail: int = 100, follow: bool = False, contains: str = ""
    ) -> AsyncIterator[str]:
        """Yield the last ``tail`` lines of a trader's log and, with ``follow``, what comes after,
        through restarts of trader and mesh. ``contains``: only lines with this text.
        """
        request = rpc.ReadTraderLogRequest(
            project=self._project,
            trader_id=trader_id,
            tail_lines=tail,
            follow=follow,
            contains=contains,
        )
        retry, last, again = Retry(_PATIENCE), "", False
        while True:
            try:
                async for message in self._connection.stream(self._stub.ReadTraderLog, request):
                    retry = Retry(_PATIENCE)
                    for line in _after(message.lines, last) if again else message.lines:
                        yield line
                    last, again = (message.lines or [last])[-1], False
                if not follow:
                    return
                fault = MeshClientError("The log ended.", code="UNAVAILABLE", reason="DRAINING")
            except MeshClientError as error:
                if not follow or error.code not in _RESUMED:
                    raise
                fault = error
            await retry.wait(fault)
            again, request.tail_lines = bool(last), _OVERLAP if last else tail

    def _change(self, kind: type[Any], trader_id: str) -> Any:
        return kind(request_id=new_request_id(), project=self._project, trader_id=trader_id)

    def _strategy(self, kind: type[Any], trader_id: str, order_id_tag: str) -> Any:
        request = self._change(kind, trader_id)
        request.order_id_tag = order_id_tag
        return request

    async def _trader(self, method: str, request: Any) -> pb.Trader:
        found: pb.Trader = (await self._call(method, request)).trader
        return found


def change_of(fact: pb.TraderChanged | TraderFact) -> pb.TraderChanged | None:
    """Return the change of a trader that a fact tells, from whichever stream it came."""
    if isinstance(fact, pb.TraderChanged):
        return fact
    return fact.trader if fact.HasField("trader") else None


def _after(lines: Sequence[str], last: str) -> Sequence[str]:
    """Return the lines after the one that was seen last; all when it is not among them."""
    for index in range(len(lines) - 1, -1, -1):
        if lines[index] == last:
            return lines[index + 1 :]
    return lines
