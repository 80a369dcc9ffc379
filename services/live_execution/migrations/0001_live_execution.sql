-- migrate:up
CREATE TABLE traders (
    project           text        NOT NULL,
    trader_id         text        NOT NULL,
    owner             text        NOT NULL,
    labels            jsonb       NOT NULL DEFAULT '{}',
    spec              bytea       NOT NULL, -- mesh.execution.v1.TraderSpec, versions in full
    inputs            jsonb       NOT NULL, -- what its process needs beside the spec: code, checked configs
    real              boolean     NOT NULL, -- a venue is a real one
    wanted            boolean     NOT NULL DEFAULT false,
    safety_mode       boolean     NOT NULL DEFAULT false, -- wanted for a flatten alone, without strategies
    state             text        NOT NULL DEFAULT 'STOPPED',
    state_time        timestamptz NOT NULL DEFAULT now(),
    reason            text        NOT NULL DEFAULT '',
    message           text        NOT NULL DEFAULT '',
    restrictions      text[]      NOT NULL DEFAULT '{}',
    strategies        bytea[]     NOT NULL DEFAULT '{}', -- mesh.execution.v1.TraderStrategyStatus
    halt_ids          text[]      NOT NULL DEFAULT '{}', -- that it heeds, as it last said
    data_time         timestamptz,
    replay_ended      boolean     NOT NULL DEFAULT false,
    fence             bigint      NOT NULL DEFAULT 0, -- of the newest lease
    lease_until       timestamptz NOT NULL DEFAULT '-infinity',
    host              text        NOT NULL DEFAULT '',
    pid               integer     NOT NULL DEFAULT 0,
    pid_start         bigint      NOT NULL DEFAULT 0, -- clock ticks since boot (/proc/<pid>/stat): tells pids apart
    process_time      timestamptz,
    restarts          integer     NOT NULL DEFAULT 0,
    api_key_id        text        NOT NULL DEFAULT '', -- with which its process reads market data
    revision          bigint      NOT NULL DEFAULT 1, -- of spec and labels: the etag
    venues            text[]      NOT NULL DEFAULT '{}', -- of the spec
    credential_ids    text[]      NOT NULL DEFAULT '{}', -- that the spec names
    folder            text        NOT NULL DEFAULT '', -- of journal and log; another one for each trader that has the id
    process_safety    boolean     NOT NULL DEFAULT false, -- the process was started in safety mode
    unresponsive_time timestamptz, -- since when its process lives without a lease
    deaths            timestamptz[] NOT NULL DEFAULT '{}', -- the latest, since a caller started it
    settling          uuid[]      NOT NULL DEFAULT '{}', -- commands that a stop waits for
    settle_until      timestamptz, -- and how long
    create_time       timestamptz NOT NULL DEFAULT now(),
    update_time       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, trader_id)
);

-- Which process keeps the traders of a host.
CREATE TABLE keepers (
    host      text        PRIMARY KEY,
    pid       integer     NOT NULL,
    pid_start bigint      NOT NULL,
    until     timestamptz NOT NULL
);

-- Where the streams of deleted traders ended: one that is made under the same id goes on from there.
CREATE TABLE former_traders (
    project   text   NOT NULL,
    trader_id text   NOT NULL,
    fence     bigint NOT NULL,
    number    bigint NOT NULL,
    PRIMARY KEY (project, trader_id)
);

-- Commands of callers. The entry of the stream is the row's body; the row goes on to tell what became of it.
CREATE TABLE commands (
    command_id       uuid        PRIMARY KEY,
    project          text        NOT NULL,
    trader_id        text        NOT NULL,
    kind             text        NOT NULL,
    submitter        text        NOT NULL,
    state            text        NOT NULL DEFAULT 'ACCEPTED',
    reason           text        NOT NULL DEFAULT '',
    message          text        NOT NULL DEFAULT '',
    client_order_ids text[]      NOT NULL DEFAULT '{}',
    body             bytea       NOT NULL, -- mesh.execution.v1.TraderCommand
    create_time      timestamptz NOT NULL DEFAULT now(),
    expire_time      timestamptz
);
CREATE INDEX commands_open ON commands (project, trader_id) WHERE state = 'ACCEPTED';

-- Client order ids and order list ids that callers have used, for ever: a submission is done once.
CREATE TABLE order_keys (
    project    text  NOT NULL,
    trader_id  text  NOT NULL,
    key        text  NOT NULL,
    body_hash  bytea NOT NULL,
    command_id uuid  NOT NULL,
    PRIMARY KEY (project, trader_id, key)
);

-- What the facts of a trader add up to, written in the transaction that stores the facts.
CREATE TABLE orders (
    project         text        NOT NULL,
    trader_id       text        NOT NULL,
    client_order_id text        NOT NULL,
    instrument_id   text        NOT NULL,
    strategy_id     text        NOT NULL,
    source          text        NOT NULL,
    status          text        NOT NULL,
    open            boolean     NOT NULL,
    ts_init         timestamptz NOT NULL,
    fact_number     bigint      NOT NULL,
    body            bytea       NOT NULL, -- mesh.execution.v1.Order
    PRIMARY KEY (project, trader_id, client_order_id)
);
CREATE INDEX orders_newest ON orders (project, ts_init DESC, trader_id, client_order_id);
CREATE INDEX orders_open ON orders (project, trader_id) WHERE open;

CREATE TABLE positions (
    project       text        NOT NULL,
    trader_id     text        NOT NULL,
    position_id   text        NOT NULL,
    instrument_id text        NOT NULL,
    strategy_id   text        NOT NULL,
    open          boolean     NOT NULL,
    ts_opened     timestamptz NOT NULL,
    fact_number   bigint      NOT NULL,
    body          bytea       NOT NULL, -- mesh.execution.v1.Position
    PRIMARY KEY (project, trader_id, position_id)
);
CREATE INDEX positions_newest ON positions (project, ts_opened DESC, trader_id, position_id);
CREATE INDEX positions_open ON positions (project, trader_id) WHERE open;

CREATE TABLE accounts (
    project     text   NOT NULL,
    trader_id   text   NOT NULL,
    account_id  text   NOT NULL,
    fact_number bigint NOT NULL,
    body        bytea  NOT NULL, -- mesh.execution.v1.AccountState
    PRIMARY KEY (project, trader_id, account_id)
);

-- What a trader knows of its instruments, and the last prices that it told.
CREATE TABLE instruments (
    project       text   NOT NULL,
    trader_id     text   NOT NULL,
    instrument_id text   NOT NULL,
    fact_number   bigint NOT NULL,
    body          bytea  NOT NULL, -- mesh.marketdata.v1.InstrumentDefinition
    PRIMARY KEY (project, trader_id, instrument_id)
);
CREATE TABLE marks (
    project       text   NOT NULL,
    trader_id     text   NOT NULL,
    instrument_id text   NOT NULL,
    fact_number   bigint NOT NULL,
    body          bytea  NOT NULL, -- mesh.execution.v1.Mark
    PRIMARY KEY (project, trader_id, instrument_id)
);

-- Facts that the API has to act on (a flatten ended, a limit broke). It takes them out when it has.
CREATE TABLE reports (
    project     text   NOT NULL,
    trader_id   text   NOT NULL,
    fact_number bigint NOT NULL,
    body        bytea  NOT NULL, -- mesh.execution.v1.TraderFact
    PRIMARY KEY (project, trader_id, fact_number)
);

-- Whole states of a trader at a fact number: a restore begins at the newest. Facts before it stay.
CREATE TABLE snapshots (
    project     text        NOT NULL,
    trader_id   text        NOT NULL,
    number      bigint      NOT NULL,
    fence       bigint      NOT NULL,
    body        bytea       NOT NULL,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, trader_id, number)
);

CREATE TABLE halts (
    halt_id     uuid        PRIMARY KEY,
    project     text        NOT NULL,
    owner       text        NOT NULL,
    scope       text        NOT NULL, -- all, venue:<venue>, trader:<trader_id> or strategy:<trader_id>:<order_id_tag>
    reducing    boolean     NOT NULL,
    active      boolean     NOT NULL DEFAULT true,
    reason      text        NOT NULL,
    source      text        NOT NULL,
    set_time    timestamptz NOT NULL DEFAULT now(),
    reset_by    text        NOT NULL DEFAULT '',
    reset_time  timestamptz,
    flatten_id  uuid,
    heeded      text[]      NOT NULL DEFAULT '{}',
    update_time timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX halts_active ON halts (project, scope) WHERE active;
CREATE INDEX halts_newest ON halts (project, set_time DESC, halt_id);

CREATE TABLE flattens (
    flatten_id  uuid        PRIMARY KEY,
    project     text        NOT NULL,
    owner       text        NOT NULL,
    scope       text        NOT NULL,
    reason      text        NOT NULL,
    state       text        NOT NULL DEFAULT 'RUNNING',
    create_time timestamptz NOT NULL DEFAULT now(),
    deadline    timestamptz NOT NULL, -- what has not reported by then is NOT FLAT
    update_time timestamptz NOT NULL DEFAULT now(),
    end_time    timestamptz
);
CREATE TABLE flatten_traders (
    flatten_id uuid  NOT NULL REFERENCES flattens ON DELETE CASCADE,
    trader_id  text  NOT NULL,
    attempts   integer NOT NULL DEFAULT 0, -- commands that were sent to it
    fence      bigint NOT NULL DEFAULT 0, -- of its lease when the latest was sent
    sent_time  timestamptz NOT NULL DEFAULT now(), -- of the latest
    body       bytea NOT NULL, -- mesh.execution.v1.TraderFlatten
    PRIMARY KEY (flatten_id, trader_id)
);

CREATE TABLE project_limits (
    project     text        PRIMARY KEY,
    body        bytea       NOT NULL, -- mesh.execution.v1.ProjectLimits
    update_time timestamptz NOT NULL DEFAULT now()
);

-- Value of an account when a day (UTC) began for it: what a daily loss is counted from.
CREATE TABLE day_values (
    project  text    NOT NULL,
    day      date    NOT NULL,
    account  text    NOT NULL,
    currency text    NOT NULL,
    value    numeric NOT NULL,
    PRIMARY KEY (project, day, account)
);

CREATE TABLE credentials (
    project       text        NOT NULL,
    credential_id text        NOT NULL,
    owner         text        NOT NULL,
    adapter       text        NOT NULL,
    fields        text[]      NOT NULL,
    key_id        text        NOT NULL, -- of the key that sealed it
    sealed        bytea       NOT NULL,
    expire_time   timestamptz,
    rotated_time  timestamptz,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, credential_id)
);

-- migrate:down
DROP TABLE credentials, day_values, project_limits, flatten_traders, flattens, halts, snapshots, reports, marks, instruments, accounts, positions, orders,
    order_keys, commands, former_traders, keepers, traders;
