-- migrate:up
-- The first answer to each mutating request, kept for at least 24 hours and given again on replay.
CREATE TABLE requests (
    principal   text        NOT NULL,
    method      text        NOT NULL,
    request_id  uuid        NOT NULL,
    projects    text[]      NOT NULL,
    body_hash   bytea       NOT NULL,
    response    bytea,
    create_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (principal, method, request_id)
);
CREATE INDEX requests_create_time ON requests (create_time);

-- migrate:down
DROP TABLE requests;
