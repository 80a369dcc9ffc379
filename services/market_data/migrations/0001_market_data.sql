-- migrate:up
CREATE TABLE instruments (
    project         text        NOT NULL,
    instrument_id   text        NOT NULL,
    owner           text        NOT NULL,
    definition      bytea       NOT NULL,
    price_precision integer     NOT NULL,
    size_precision  integer     NOT NULL,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, instrument_id)
);

CREATE TABLE import_jobs (
    import_id     uuid        PRIMARY KEY,
    project       text        NOT NULL,
    owner         text        NOT NULL,
    spec          bytea       NOT NULL,
    file_name     text        NOT NULL,
    upload_bytes  bigint      NOT NULL,
    upload_sha256 text        NOT NULL,
    state         text        NOT NULL DEFAULT 'PENDING',
    report        jsonb       NOT NULL DEFAULT '{}',
    reason        text        NOT NULL DEFAULT '',
    message       text        NOT NULL DEFAULT '',
    attempts      integer     NOT NULL DEFAULT 0,
    start_time    timestamptz,
    end_time      timestamptz,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX import_jobs_by_time ON import_jobs (project, create_time DESC, import_id DESC);

-- The data files of the catalogs. A file counts once it is here; the disk follows (catalog_moves).
CREATE TABLE catalog_files (
    project       text        NOT NULL,
    path          text        NOT NULL,
    kind          text        NOT NULL,
    identifier    text        NOT NULL,
    instrument_id text        NOT NULL,
    bar_type      text        NOT NULL,
    owner         text        NOT NULL,
    bytes         bigint      NOT NULL,
    rows          bigint      NOT NULL,
    first_ns      bigint      NOT NULL,
    last_ns       bigint      NOT NULL,
    sha256        text        NOT NULL,
    PRIMARY KEY (project, path)
);
CREATE INDEX catalog_files_by_series ON catalog_files (project, kind, identifier, first_ns);

CREATE TABLE series (
    project     text        NOT NULL,
    kind        text        NOT NULL,
    identifier  text        NOT NULL,
    owner       text        NOT NULL,
    gap_count   bigint      NOT NULL,
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, kind, identifier)
);

-- Moves of files that were decided and may not have been done: done again after a crash.
CREATE TABLE catalog_moves (
    id      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    owner   text  NOT NULL,
    project text  NOT NULL,
    adds    jsonb NOT NULL,
    removes jsonb NOT NULL
);

-- migrate:down
DROP TABLE catalog_moves, series, catalog_files, import_jobs, instruments;
