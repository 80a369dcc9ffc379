-- migrate:up
-- Feeds as they are wished for; what they are doing is in the service's memory. `position_ns`,
-- `paused` and `speed` are where a replay goes on after a restart: null means as its config says.
CREATE TABLE feeds (
    project     text        NOT NULL,
    feed_id     text        NOT NULL,
    owner       text        NOT NULL,
    venue       text        NOT NULL,
    config_json text        NOT NULL,
    silence_ms  bigint      NOT NULL,
    position_ns bigint,
    paused      boolean,
    speed       double precision,
    create_time timestamptz NOT NULL DEFAULT now(),
    update_time timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (project, feed_id)
);

CREATE TABLE subscriptions (
    subscription_id uuid        PRIMARY KEY,
    project         text        NOT NULL,
    feed_id         text        NOT NULL,
    owner           text        NOT NULL,
    delivery        text        NOT NULL,
    conflate_ms     bigint      NOT NULL,
    idle_ms         bigint      NOT NULL,
    recording       boolean     NOT NULL DEFAULT false,
    create_time     timestamptz NOT NULL DEFAULT now(),
    update_time     timestamptz NOT NULL DEFAULT now(),
    FOREIGN KEY (project, feed_id) REFERENCES feeds
);
CREATE INDEX subscriptions_by_time
    ON subscriptions (project, create_time DESC, subscription_id DESC);
CREATE INDEX subscriptions_by_feed ON subscriptions (project, feed_id);

CREATE TABLE subscription_items (
    subscription_id uuid   NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
    place           bigint GENERATED ALWAYS AS IDENTITY,
    kind            text   NOT NULL,
    instrument_id   text   NOT NULL,
    bar_type        text   NOT NULL,
    PRIMARY KEY (subscription_id, kind, instrument_id, bar_type)
);

-- migrate:down
DROP TABLE subscription_items, subscriptions, feeds;
