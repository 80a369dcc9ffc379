"""The statements of the projections; those that write as ``facts.append_many`` has them."""

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
SELECT {0}, {1}, r.* FROM head, unnest({2}::text[], {3}::text[], {4}::text[], {5}::text[],
    {6}::text[], {7}::boolean[], {8}::timestamptz[], {9}::bigint[], {10}::bytea[]) AS r
ON CONFLICT (project, trader_id, client_order_id) DO UPDATE SET
    strategy_id = excluded.strategy_id, source = excluded.source, status = excluded.status,
    open = excluded.open, fact_number = excluded.fact_number, body = excluded.body
"""

POSITIONS = """
INSERT INTO positions (project, trader_id, position_id, instrument_id, strategy_id, open,
    ts_opened, fact_number, body)
SELECT {0}, {1}, r.* FROM head, unnest({2}::text[], {3}::text[], {4}::text[], {5}::boolean[],
    {6}::timestamptz[], {7}::bigint[], {8}::bytea[]) AS r
ON CONFLICT (project, trader_id, position_id) DO UPDATE SET
    strategy_id = excluded.strategy_id, open = excluded.open, ts_opened = excluded.ts_opened,
    fact_number = excluded.fact_number, body = excluded.body
"""


def _numbered(table: str, key: str) -> str:
    return f"""
INSERT INTO {table} (project, trader_id, {key}, fact_number, body)
SELECT {{0}}, {{1}}, r.* FROM head, unnest({{2}}::text[], {{3}}::bigint[], {{4}}::bytea[]) AS r
ON CONFLICT (project, trader_id, {key}) DO UPDATE SET
    fact_number = excluded.fact_number, body = excluded.body
"""


ACCOUNTS = _numbered("accounts", "account_id")
INSTRUMENTS = _numbered("instruments", "instrument_id")
MARKS = _numbered("marks", "instrument_id")

REPORTS = """
INSERT INTO reports (project, trader_id, fact_number, body)
SELECT {0}, {1}, r.* FROM head, unnest({2}::bigint[], {3}::bytea[]) AS r ON CONFLICT DO NOTHING
"""

COMMANDS = """
UPDATE commands AS c SET state = t.state, reason = t.reason, message = t.message
FROM head, unnest({0}::uuid[], {1}::text[], {2}::text[], {3}::text[])
    AS t(id, state, reason, message)
WHERE c.command_id = t.id
"""

OUTBOX_DONE = """
UPDATE outbox AS o SET done = true FROM head
WHERE o.stream = {0} AND o.key = ANY({1}) AND NOT o.done
"""

TRADER = """
UPDATE traders AS t SET state = {3}, state_time = {4}, reason = {5}, message = {6},
    restrictions = {7}, strategies = {8}, replay_ended = {9}, halt_ids = {10},
    data_time = coalesce({11}, data_time)
FROM head WHERE t.project = {0} AND t.trader_id = {1} AND t.fence = {2}
"""

DATA_TIME = """
UPDATE traders AS t SET data_time = {3} FROM head
WHERE t.project = {0} AND t.trader_id = {1} AND t.fence = {2}
"""
