"""Commands on their way to a trader: a row that tells what becomes of it, and its entry in the
trader's stream, in the transaction of the change that asks for it.
"""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from mesh.execution.v1.order_pb2 import Command, TraderCommand
from meshkit import outbox
from services.live_execution import order_convert
from services.live_execution.names import TraderKey
from services.live_execution.order_convert import CommandRow


def new(
    key: TraderKey,
    kind: str,
    submitter: str,
    *,
    client_order_ids: Sequence[str] = (),
    expires: Timestamp | None = None,
    command_id: str = "",
) -> CommandRow:
    """Return a command that is not stored yet; one that ``expires`` is not carried out later."""
    return CommandRow(
        command_id=command_id or str(uuid.uuid4()),
        project=key.project,
        trader_id=key.trader_id,
        kind=kind,
        submitter=submitter,
        state="ACCEPTED",
        reason="",
        message="",
        client_order_ids=tuple(client_order_ids),
        create_time=datetime.now(UTC),
        expire_time=None if expires is None else expires.ToDatetime(tzinfo=UTC),
    )


def body(row: CommandRow, command: TraderCommand) -> bytes:
    """Return what is sent to the trader: what to do, with ids and times of the row."""
    sent = TraderCommand(command_id=row.command_id, submitter=row.submitter)
    sent.MergeFrom(command)
    sent.create_time.FromDatetime(row.create_time)
    if row.expire_time is not None:
        sent.expire_time.FromDatetime(row.expire_time)
    return sent.SerializeToString()


async def store(tx: Any, row: CommandRow, command: TraderCommand) -> None:
    """Store a command and its entry in the outbox; one that is stored already stays."""
    sent = body(row, command)
    made = await tx.fetchval(
        "INSERT INTO commands (command_id, project, trader_id, kind, submitter, client_order_ids,"
        " body, create_time, expire_time) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
        " ON CONFLICT DO NOTHING RETURNING true",
        uuid.UUID(row.command_id),
        row.project,
        row.trader_id,
        row.kind,
        row.submitter,
        list(row.client_order_ids),
        sent,
        row.create_time,
        row.expire_time,
    )
    if made:
        key = TraderKey(row.project, row.trader_id)
        await outbox.enqueue(tx, key.commands, row.command_id, sent)


async def put(
    tx: Any,
    key: TraderKey,
    kind: str,
    command: TraderCommand,
    *,
    submitter: str,
    client_order_ids: Sequence[str] = (),
    expires: Timestamp | None = None,
    command_id: str = "",
) -> Command:
    """Commit a command to a trader; return it as accepted.

    ``command`` holds what to do. With a ``command_id`` that was used it is not sent again.
    """
    row = new(
        key,
        kind,
        submitter,
        client_order_ids=client_order_ids,
        expires=expires,
        command_id=command_id,
    )
    await store(tx, row, command)
    return order_convert.command(row)


async def expire(tx: Any, key: TraderKey, command_ids: Sequence[Any]) -> None:
    """Take back commands that were not carried out yet."""
    gone = await tx.fetch(
        "UPDATE commands SET state = 'EXPIRED', reason = 'COMMAND_EXPIRED',"
        " message = 'The trader did not come to it in its time; nothing was sent.'"
        " WHERE command_id = ANY($1) AND state = 'ACCEPTED' RETURNING command_id",
        list(command_ids),
    )
    for row in gone:
        await outbox.done(tx, key.commands, str(row["command_id"]))
