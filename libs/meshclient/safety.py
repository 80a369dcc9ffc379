"""The kill switch: halt, reset, flatten, limits across traders."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc.aio

from mesh.common.v1.types_pb2 import Money
from mesh.execution.v1 import safety_pb2 as pb
from mesh.execution.v1 import safety_service_pb2 as rpc
from mesh.execution.v1.safety_service_pb2_grpc import SafetyServiceStub
from meshclient import words
from meshclient.errors import MeshClientError, SpecError
from meshclient.facts import FactWatch, unpacker
from meshclient.group import Group, new_request_id, only
from meshclient.words import Number

_LOOK_SECONDS = 0.25
_PATIENCE = 60.0
HALT_PATIENCE = 3.0
"""Seconds for which a halt waits out a mesh that restarts: then there is another way
(``meshclient.latch``), and who pulls this handle must know.
"""


def scope(
    *, all: bool = False, venue: str = "", trader: str = "", strategy: str = ""
) -> pb.SafetyScope:
    """Return a scope: exactly one of all traders of the project, a venue, a trader, and a strategy
    of a trader (``strategy`` is its tag, beside ``trader``).
    """
    if sum((all, bool(venue), bool(trader))) != 1 or (strategy and not trader):
        raise SpecError("Name one of: all, venue, trader, or trader with strategy.")
    if strategy:
        return pb.SafetyScope(strategy=pb.StrategyScope(trader_id=trader, order_id_tag=strategy))
    if trader:
        return pb.SafetyScope(trader_id=trader)
    return pb.SafetyScope(venue=venue) if venue else pb.SafetyScope(all=True)


def scope_text(value: pb.SafetyScope) -> str:
    """Return a scope in words, as the latch has it: ``all``, ``venue:X``, ``trader:T`` …"""
    match value.WhichOneof("reach"):
        case "venue":
            return f"venue:{value.venue}"
        case "trader_id":
            return f"trader:{value.trader_id}"
        case "strategy":
            return f"strategy:{value.strategy.trader_id}:{value.strategy.order_id_tag}"
    return "all"


class Safety(Group):
    """``mesh.safety``."""

    def _make_stub(self, channel: grpc.aio.Channel) -> Any:
        return SafetyServiceStub(channel)

    async def halt(
        self,
        *,
        all: bool = False,
        venue: str = "",
        trader: str = "",
        strategy: str = "",
        reason: str = "",
        flatten: bool = False,
        reducing: bool = False,
    ) -> rpc.HaltResponse:
        """Forbid to trade in a scope (see ``scope``), at once and until ``reset``.

        ``flatten`` also cancels orders and closes positions: ``wait_flat`` follows that.
        ``reducing`` lets orders pass that reduce positions.
        """
        request = rpc.HaltRequest(
            request_id=new_request_id(),
            project=self._project,
            scope=scope(all=all, venue=venue, trader=trader, strategy=strategy),
            reason=reason,
            flatten=flatten,
            reducing=reducing,
        )
        reply: rpc.HaltResponse = await self._connection.unary(
            self._stub.Halt, request, patience=HALT_PATIENCE
        )
        return reply

    async def reset(self, halt_id: str, *, reason: str = "") -> pb.Halt:
        """End a halt; nothing is started by that. Needs the scope ``safety.reset``."""
        request = rpc.ResetHaltRequest(
            request_id=new_request_id(), project=self._project, halt_id=halt_id, reason=reason
        )
        halt: pb.Halt = (await self._call("ResetHalt", request)).halt
        return halt

    async def get(self, halt_id: str) -> pb.Halt:
        """Return a halt."""
        halt: pb.Halt = (await self._call("GetHalt", rpc.GetHaltRequest(halt_id=halt_id))).halt
        return halt

    async def list(self, *, active: bool = False, limit: int | None = None) -> Sequence[pb.Halt]:
        """Return halts, the newest first; with ``active`` those in force."""
        state = pb.HALT_STATE_ACTIVE if active else pb.HALT_STATE_UNSPECIFIED
        request = rpc.ListHaltsRequest(project=self._project, state=state)
        return [each async for each in self._pages("ListHalts", request, "halts", limit)]

    async def find(self, text: str) -> str:
        """Return the id of the halt in force that is meant: an id, or its first digits."""
        if len(text) == 36:
            return text
        found = [halt.halt_id for halt in await self.list(active=True)]
        return only(found, text, "halts in force", "HALT_NOT_FOUND")

    async def flatten(
        self,
        *,
        all: bool = False,
        venue: str = "",
        trader: str = "",
        strategy: str = "",
        reason: str = "",
    ) -> pb.Flatten:
        """Cancel all orders and close all positions in a scope, without a halt; returns at once."""
        request = rpc.FlattenRequest(
            request_id=new_request_id(),
            project=self._project,
            scope=scope(all=all, venue=venue, trader=trader, strategy=strategy),
            reason=reason,
        )
        made: pb.Flatten = (await self._call("Flatten", request)).flatten
        return made

    async def get_flatten(self, flatten_id: str) -> pb.Flatten:
        """Return a flatten with what is left."""
        request = rpc.GetFlattenRequest(flatten_id=flatten_id)
        found: pb.Flatten = (await self._call("GetFlatten", request)).flatten
        return found

    async def wait_flat(
        self,
        flatten_id: str,
        *,
        seconds: float = 120.0,
        progress: Callable[[pb.Flatten], None] = lambda flatten: None,
    ) -> pb.Flatten:
        """Return a flatten at its end, FLAT or NOT_FLAT; raises ``TRADER_UNRESPONSIVE`` when it
        has not ended in time. ``progress(flatten)`` is called with it as it stands.
        """
        end = asyncio.get_running_loop().time() + seconds
        while asyncio.get_running_loop().time() < end:
            found = await self.get_flatten(flatten_id)
            progress(found)
            if found.state != pb.FLATTEN_STATE_RUNNING:
                return found
            await asyncio.sleep(_LOOK_SECONDS)  # looked at, and not watched: the surer way
        raise MeshClientError(
            f"The flatten {flatten_id} has not ended in {seconds:g} s. It goes on.",
            code="DEADLINE_EXCEEDED",
            reason="TRADER_UNRESPONSIVE",
        )

    async def set_limits(
        self,
        *,
        max_gross_exposure: str = "",
        max_daily_loss: str = "",
        max_position: Mapping[str, Number] | None = None,
        halted: bool = False,
    ) -> rpc.ProjectLimits:
        """Replace the limits across all traders of the project; what is not given does not limit.

        Amounts such as ``100000 USD``; positions by instrument id, ``*`` is every other one. A
        broken limit lets only reducing orders pass, or with ``halted`` none.
        """
        limits = rpc.ProjectLimits(halted=halted)
        if max_gross_exposure:
            limits.max_gross_exposure.CopyFrom(_money(max_gross_exposure, "max_gross_exposure"))
        if max_daily_loss:
            limits.max_daily_loss.CopyFrom(_money(max_daily_loss, "max_daily_loss"))
        for instrument_id, most in (max_position or {}).items():
            limits.max_position[instrument_id] = words.decimal(
                most, f"max_position.{instrument_id}"
            )
        request = rpc.SetLimitsRequest(
            request_id=new_request_id(), project=self._project, limits=limits
        )
        made: rpc.ProjectLimits = (await self._call("SetLimits", request)).limits
        return made

    async def limits(self) -> rpc.GetLimitsResponse:
        """Return the limits across traders, and how far they are used."""
        reply: rpc.GetLimitsResponse = await self._call(
            "GetLimits", rpc.GetLimitsRequest(project=self._project)
        )
        return reply

    def watch(
        self,
        *,
        cursor: str = "",
        broken: Callable[[MeshClientError], None] = lambda fault: None,
        patience: float = _PATIENCE,
    ) -> FactWatch[pb.SafetyChanged]:
        """Watch halts and flattens as they change: iterate over it."""

        def after(place: str) -> rpc.WatchSafetyRequest:
            return rpc.WatchSafetyRequest(project=self._project, after_cursor=place)

        messages = self._connection.watch(
            self._stub.WatchSafety, after, cursor=cursor, broken=broken, patience=patience
        )
        return FactWatch(messages, unpacker(pb.SafetyChanged), cursor)


def _money(text: str, field: str) -> Money:
    amount, _, currency = text.strip().partition(" ")
    if not currency:
        raise words.fault(
            field, f"must be an amount and a currency such as '1000 USD', not '{text}'"
        )
    return Money(amount=words.decimal(amount, field), currency=currency.strip())
