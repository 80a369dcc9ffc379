"""The statements of the projections. Each takes the trader's key, then a column an array."""

SELECT_ORDERS = """
SELECT client_order_id, body FROM orders
WHERE project = $1 AND trader_id = $2 AND client_order_id = ANY($3)
"""

SELECT_OPEN_ORDERS = """
SELECT client_order_id, body FROM orders WHERE project = $1 AND trader_id = $2 AND open
"""

SELECT_POSITIONS = """
SELECT position_id, body FROM positions
WHERE project = $1 AND trader_id = $2 AND position_id = ANY($3)
"""

SELECT_SUBMITTERS = """
SELECT k.key, c.submitter FROM order_keys k JOIN commands c USING (command_id)
WHERE k.project = $1 AND k.trader_id = $2 AND k.key = ANY($3)
"""

ORDERS = """
INSERT INTO orders (project, trader_id, client_order_id, instrument_id, strategy_id, source,
    status, open, ts_init, fact_number, body)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::boolean[], $9::timestamptz[], $10::bigint[], $11::bytea[])
ON CONFLICT (project, trader_id, client_order_id) DO UPDATE SET
    strategy_id = excluded.strategy_id, source = excluded.source, status = excluded.status,
    open = excluded.open, fact_number = excluded.fact_number, body = excluded.body
"""

POSITIONS = """
INSERT INTO positions (project, trader_id, position_id, instrument_id, strategy_id, open,
    ts_opened, fact_number, body)
SELECT $1, $2, * FROM unnest($3::text[], $4::text[], $5::text[], $6::boolean[],
    $7::timestamptz[], $8::bigint[], $9::bytea[])
ON CONFLICT (project, trader_id, position_id) DO UPDATE SET
    strategy_id = excluded.strategy_id, open = excluded.open, ts_opened = excluded.ts_opened,
    fact_number = excluded.fact_number, body = excluded.body
"""

_NUMBERED = """
INSERT INTO {table} (project, trader_id, {key}, fact_number, body)
SELECT $1, $2, * FROM unnest($3::text[], $4::bigint[], $5::bytea[])
ON CONFLICT (project, trader_id, {key}) DO UPDATE SET
    fact_number = excluded.fact_number, body = excluded.body
"""

ACCOUNTS = _NUMBERED.format(table="accounts", key="account_id")
INSTRUMENTS = _NUMBERED.format(table="instruments", key="instrument_id")
MARKS = _NUMBERED.format(table="marks", key="instrument_id")

REPORTS = """
INSERT INTO reports (project, trader_id, fact_number, body)
SELECT $1, $2, * FROM unnest($3::bigint[], $4::bytea[]) ON CONFLICT DO NOTHING
"""

COMMANDS = """
UPDATE commands AS c SET state = t.state, reason = t.reason, message = t.message
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[]) AS t(id, state, reason, message)
WHERE c.command_id = t.id
"""

OUTBOX_DONE = """
UPDATE outbox SET done = true WHERE stream = $1 AND key = ANY($2) AND NOT done
"""

TRADER = """
UPDATE traders SET state = $4, state_time = $5, reason = $6, message = $7, restrictions = $8,
    strategies = $9, replay_ended = $10, halt_ids = $11, data_time = coalesce($12, data_time)
WHERE project = $1 AND trader_id = $2 AND fence = $3
"""

DATA_TIME = """
UPDATE traders SET data_time = $4 WHERE project = $1 AND trader_id = $2 AND fence = $3
"""
