"""What the processes of traders may do in PostgreSQL, where they have a role of their own.

It follows the statements in ``trader/``. A row belongs to whatever trader: there is no limit by
rows yet, so that one trader's process may still touch another's.
"""

import logging
from urllib.parse import unquote, urlsplit

import asyncpg

from meshkit.database import Database

log = logging.getLogger("live_execution")

_LOCK = 0x6D657374  # "mest": one service at a time changes the rights

_PROJECTED = ("orders", "positions", "accounts", "instruments", "marks")
_READ = {
    **dict.fromkeys(("stream_heads", "facts", "snapshots", *_PROJECTED), ""),
    "traders": "project, trader_id, owner, fence, lease_until, data_time",
    "commands": "command_id, state, submitter",
    "order_keys": "project, trader_id, key, command_id",
    "outbox": "stream, key, done",
    "flattens": "flatten_id, state",
    "halts": "halt_id, project, scope, reducing, active, reason, set_time, flatten_id",
}
_INSERTED = ("facts", "reports", "snapshots", *_PROJECTED)
_ADDED = {**dict.fromkeys(_INSERTED, ""), "stream_heads": "stream, number, fence"}
_CHANGED = {
    **dict.fromkeys(_PROJECTED, ""),
    "stream_heads": "number, fence",
    "snapshots": "fence, body",
    "commands": "state, reason, message",
    "outbox": "done",
    "traders": (
        "fence, lease_until, host, pid, pid_start, process_time, state, state_time, reason,"
        " message, restrictions, strategies, replay_ended, halt_ids, data_time"
    ),
}
_REMOVED = {"snapshots": ""}


async def grant(database: Database, traders_url: str) -> None:
    """Give the role of traders what it needs and nothing else; nothing when it is our own."""
    role = unquote(urlsplit(traders_url).username or "")
    async with database.transaction() as tx:
        known = await tx.fetchval(
            "SELECT quote_ident(rolname) FROM pg_roles WHERE rolname = $1"
            " AND rolname <> current_user",
            role,
        )
        if known is None:
            log.info("traders share this service's role in the database")
            return
        await tx.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
        try:
            async with tx.transaction():
                await tx.execute(";".join(statements(database.schema, known)))
        except asyncpg.InsufficientPrivilegeError as error:
            # somebody else owns the tables, and has seen to the rights of the role
            log.warning("rights of traders are not set", extra={"role": role, "error": str(error)})


def statements(schema: str, role: str) -> list[str]:
    """Return the SQL that leaves a role (quoted) with the rights of traders in a schema."""
    rights = [("SELECT", _READ), ("INSERT", _ADDED), ("UPDATE", _CHANGED), ("DELETE", _REMOVED)]
    return [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM {role}",
        f"REVOKE ALL ON SCHEMA {schema} FROM {role}",
        f"GRANT USAGE ON SCHEMA {schema} TO {role}",
        *(
            f"GRANT {right}{f' ({columns})' if columns else ''} ON {schema}.{table} TO {role}"
            for right, tables in rights
            for table, columns in tables.items()
        ),
    ]
