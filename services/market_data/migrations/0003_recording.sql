-- migrate:up
-- What is recorded, and how far: `position` is the number of the last journal record of the series
-- whose rows are in the catalog. A row that is not `active` was stopped on purpose.
CREATE TABLE recordings (
    project       text        NOT NULL,
    kind          text        NOT NULL,
    identifier    text        NOT NULL,
    instrument_id text        NOT NULL,
    bar_type      text        NOT NULL,
    feed_id       text        NOT NULL,
    owner         text        NOT NULL,
    active        boolean     NOT NULL,
    position      bigint      NOT NULL DEFAULT 0,
    rows          bigint      NOT NULL DEFAULT 0,
    last_init     bigint      NOT NULL DEFAULT 0,
    last_event    bigint      NOT NULL DEFAULT 0,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, kind, identifier)
);

-- What recordings missed. Times are `ts_init`; `first_event` and `last_event` are the venue's times
-- to fill from and to. `to_init` is null while the gap goes on.
CREATE TABLE recorded_gaps (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    project        text    NOT NULL,
    kind           text    NOT NULL,
    identifier     text    NOT NULL,
    owner          text    NOT NULL,
    feed_id        text    NOT NULL,
    cause          text    NOT NULL,
    message        text    NOT NULL,
    from_init      bigint  NOT NULL,
    first_event    bigint  NOT NULL,
    to_init        bigint,
    last_event     bigint,
    filled         boolean NOT NULL DEFAULT false,
    history_job_id uuid
);
CREATE INDEX recorded_gaps_by_series ON recorded_gaps (project, kind, identifier, from_init);

-- Ranges of the venue's time of which the catalog has all that there is, as far as is known: they
-- are not asked for again. They do not touch each other. Of bars the rows themselves tell, too.
CREATE TABLE known_ranges (
    project    text   NOT NULL,
    kind       text   NOT NULL,
    identifier text   NOT NULL,
    owner      text   NOT NULL,
    first_ns   bigint NOT NULL,
    last_ns    bigint NOT NULL,
    PRIMARY KEY (project, kind, identifier, first_ns)
);
INSERT INTO known_ranges (project, kind, identifier, owner, first_ns, last_ns)
SELECT project, kind, identifier, min(owner), first_ns, max(last_ns) FROM catalog_files WHERE kind <> 'BAR'
GROUP BY project, kind, identifier, first_ns;

CREATE TABLE history_jobs (
    history_job_id uuid        PRIMARY KEY,
    project        text        NOT NULL,
    owner          text        NOT NULL,
    feed_id        text        NOT NULL,
    kind           text        NOT NULL,
    instrument_id  text        NOT NULL,
    bar_type       text        NOT NULL,
    start_ns       bigint      NOT NULL,
    end_ns         bigint      NOT NULL,
    refresh        boolean     NOT NULL,
    state          text        NOT NULL DEFAULT 'PENDING',
    position_ns    bigint      NOT NULL,
    rows_received  bigint      NOT NULL DEFAULT 0,
    rows_written   bigint      NOT NULL DEFAULT 0,
    requests       integer     NOT NULL DEFAULT 0,
    reason         text        NOT NULL DEFAULT '',
    message        text        NOT NULL DEFAULT '',
    attempts       integer     NOT NULL DEFAULT 0,
    start_time     timestamptz,
    end_time       timestamptz,
    create_time    timestamptz NOT NULL DEFAULT now(),
    update_time    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX history_jobs_by_time
    ON history_jobs (project, create_time DESC, history_job_id DESC);

-- migrate:down
DROP TABLE history_jobs, known_ranges, recorded_gaps, recordings;
