-- migrate:up
CREATE TABLE runs (
    backtest_id      uuid        PRIMARY KEY,
    project          text        NOT NULL,
    owner            text        NOT NULL,
    name             text        NOT NULL,
    labels           jsonb       NOT NULL,
    spec             jsonb       NOT NULL,
    manifest         jsonb       NOT NULL,
    -- What a worker needs beside the spec: code, files and times.
    inputs           jsonb       NOT NULL,
    strategy_ids     text[]      NOT NULL,
    state            text        NOT NULL DEFAULT 'PENDING',
    progress         jsonb       NOT NULL DEFAULT '{}',
    failure          jsonb,
    result           jsonb,
    attempts         integer     NOT NULL DEFAULT 0,
    cancel_requested boolean     NOT NULL DEFAULT false,
    -- Who may write: the worker that holds the newest fence.
    fence            bigint      NOT NULL DEFAULT 0,
    worker           text        NOT NULL DEFAULT '',
    lease_until      timestamptz NOT NULL DEFAULT '-infinity',
    start_time       timestamptz,
    end_time         timestamptz,
    create_time      timestamptz NOT NULL DEFAULT now(),
    update_time      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX runs_by_time ON runs (project, create_time DESC, backtest_id DESC);

-- migrate:down
DROP TABLE runs;
