-- migrate:up
CREATE TABLE strategies (
    project        text        NOT NULL,
    strategy_id    text        NOT NULL,
    owner          text        NOT NULL,
    kind           text        NOT NULL,
    display_name   text        NOT NULL,
    description    text        NOT NULL,
    labels         jsonb       NOT NULL,
    latest_version text        NOT NULL DEFAULT '',
    version_count  integer     NOT NULL DEFAULT 0,
    revision       bigint      NOT NULL DEFAULT 1,
    create_time    timestamptz NOT NULL DEFAULT now(),
    update_time    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, strategy_id)
);

CREATE TABLE strategy_versions (
    project           text        NOT NULL,
    strategy_id       text        NOT NULL,
    version           text        NOT NULL,
    number            integer     NOT NULL,
    owner             text        NOT NULL,
    kind              text        NOT NULL,
    source            jsonb       NOT NULL,
    class_name        text        NOT NULL,
    config_class_name text        NOT NULL,
    config_schema     jsonb       NOT NULL,
    create_time       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, strategy_id, version),
    UNIQUE (project, strategy_id, number),
    FOREIGN KEY (project, strategy_id) REFERENCES strategies ON DELETE CASCADE
);

-- migrate:down
DROP TABLE strategy_versions;
DROP TABLE strategies;
