-- migrate:up
-- One row a schema: tells this log's numbers from those of a log that was here before it (a wiped database).
CREATE TABLE stream_origin (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    origin   text NOT NULL DEFAULT replace(gen_random_uuid()::text, '-', '')
);
INSERT INTO stream_origin DEFAULT VALUES;

-- The head of each fact stream. Its row lock hands out numbers in commit order and without holes.
CREATE TABLE stream_heads (
    stream    text   PRIMARY KEY,
    number    bigint NOT NULL, -- of the last fact
    fence     bigint NOT NULL, -- of the last writer; an older one is refused
    kept_from bigint NOT NULL DEFAULT 1 -- of the oldest fact that is still here
);

CREATE TABLE facts (
    stream      text        NOT NULL,
    number      bigint      NOT NULL,
    event       bytea       NOT NULL, -- mesh.events.v1.Event
    create_time timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (stream, number)
);

-- Jobs and commands that are on their way. A row lives until its work is done and Redis has forgotten it.
CREATE TABLE outbox (
    seq         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    stream      text        NOT NULL,
    key         text        NOT NULL,
    payload     bytea       NOT NULL,
    epoch       text        NOT NULL DEFAULT '', -- of the Redis that has the entry; empty: none yet
    done        boolean     NOT NULL DEFAULT false,
    create_time timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX outbox_open ON outbox (stream, key) WHERE NOT done;
CREATE INDEX outbox_new ON outbox (seq) WHERE NOT done AND epoch = '';
CREATE INDEX outbox_done ON outbox (seq) WHERE done;

-- Ids of events whose effect on this schema is committed.
CREATE TABLE consumed (
    consumer    text        NOT NULL,
    event_id    text        NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (consumer, event_id)
);
CREATE INDEX consumed_create_time ON consumed (create_time);

-- migrate:down
DROP TABLE consumed, outbox, facts, stream_heads, stream_origin;
