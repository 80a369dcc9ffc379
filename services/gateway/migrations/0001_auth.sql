-- migrate:up
CREATE TABLE api_keys (
    api_key_id    text        PRIMARY KEY,
    owner         text        NOT NULL,
    project       text        NOT NULL,
    display_name  text        NOT NULL,
    subject       text        NOT NULL,
    scopes        text[]      NOT NULL,
    projects      text[]      NOT NULL,
    secret_hash   bytea       NOT NULL,
    expire_time   timestamptz,
    revoke_time   timestamptz,
    last_use_time timestamptz,
    create_time   timestamptz NOT NULL DEFAULT now(),
    update_time   timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX api_keys_by_project ON api_keys (project, create_time, api_key_id);

CREATE TABLE signing_keys (
    kid         text        PRIMARY KEY,
    sealed      bytea       NOT NULL,
    active_from timestamptz NOT NULL
);

-- migrate:down
DROP TABLE signing_keys;
DROP TABLE api_keys;
