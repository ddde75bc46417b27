-- The core: what arrived, what it means, what is being done about it.
CREATE SCHEMA IF NOT EXISTS hilum;
SET search_path = hilum, public;

-- An intake shard is written by one process at a time; its sequence numbers have no gaps and commit in order.
CREATE TABLE intake_shard (
    shard        int PRIMARY KEY,
    name         text NOT NULL UNIQUE,
    message_seq  bigint NOT NULL DEFAULT 0,
    event_seq    bigint NOT NULL DEFAULT 0,
    fence        bigint NOT NULL DEFAULT 0
);

-- Bytes that arrived. Payloads are bytea and stay in the row up to 8 kB: TOAST compression cost three times the insert.
CREATE TABLE message (
    shard        int NOT NULL,
    seq          bigint NOT NULL,
    received_at  timestamptz NOT NULL,
    system       text NOT NULL,
    transport    text NOT NULL,
    peer         text NOT NULL,
    type         text NOT NULL,
    control_id   text NOT NULL,
    status       text NOT NULL,           -- accepted, duplicate, refused, held
    error        text,
    copy_of      text,                    -- m/<shard>/<seq> of the message that this one repeats or replays
    digest       bytea NOT NULL,          -- SHA-256 of raw
    raw          bytea NOT NULL,
    PRIMARY KEY (shard, seq, received_at)
) PARTITION BY RANGE (received_at);
CREATE INDEX message_problem ON message (received_at) WHERE status IN ('refused', 'held');
CREATE INDEX message_type ON message (system, type, received_at);

-- Canonical business facts, in order for each shard.
CREATE TABLE event (
    shard        int NOT NULL,
    seq          bigint NOT NULL,
    at           timestamptz NOT NULL,
    type         text NOT NULL,
    version      smallint NOT NULL,
    key          text NOT NULL,           -- the ordering key
    facility     text NOT NULL,
    message_seq  bigint NOT NULL,
    mapping      text NOT NULL,           -- name@version of the mapping that made it
    copy_of      text,                    -- e/<shard>/<seq> of the event that this one replays
    payload      bytea NOT NULL,          -- JSON by the contract
    PRIMARY KEY (shard, seq, at)
) PARTITION BY RANGE (at);
CREATE INDEX event_message ON event (shard, message_seq);

-- One row for each identity of each fact. Never partitioned, never dropped with messages: a resend after the
-- retention of its message is still a resend. The key is a 128-bit digest, so it holds no PHI.
CREATE TABLE fact (
    identity     bytea PRIMARY KEY,
    shard        int NOT NULL,
    event_seq    bigint NOT NULL,
    agreed       bytea,                   -- digest of the fields on which all reports must agree
    at           timestamptz NOT NULL
) WITH (fillfactor = 100);

-- By what people search. subject: m/<shard>/<seq>, e/<shard>/<seq>, c/<case>.
CREATE TABLE business_key (
    value        text NOT NULL,
    kind         text NOT NULL,
    subject      text NOT NULL,
    at           timestamptz NOT NULL
);
CREATE INDEX business_key_value ON business_key (value text_pattern_ops);
CREATE INDEX business_key_subject ON business_key (subject) WHERE subject LIKE 'c/%';

-- Partitions are made ahead by the platform; this one takes what a wrong clock would lose.
CREATE TABLE message_default PARTITION OF message DEFAULT;
CREATE TABLE event_default PARTITION OF event DEFAULT;
ALTER TABLE message_default SET (toast_tuple_target = 8160);
ALTER TABLE event_default SET (toast_tuple_target = 8160);

-- How far each consumer has read each shard. Moved in the transaction that records what was read.
CREATE TABLE consumer_cursor (
    consumer     text NOT NULL,
    shard        int NOT NULL,
    seq          bigint NOT NULL DEFAULT 0,
    owner        text,
    fence        bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    PRIMARY KEY (consumer, shard)
);

-- A flow's business case.
CREATE TABLE flow_case (
    id           text PRIMARY KEY,        -- <flow>/<key>
    position     bigint GENERATED ALWAYS AS IDENTITY,
    flow         text NOT NULL,
    flow_version smallint NOT NULL,
    ordering_key text NOT NULL,
    criticality  smallint NOT NULL,       -- 0 critical .. 3 low
    facility     text NOT NULL,
    event_shard  int NOT NULL,
    event_seq    bigint NOT NULL,
    event_at     timestamptz NOT NULL,
    state        text NOT NULL DEFAULT 'ready',  -- ready, running, waiting, parked, stopped, done, skipped
    run          int NOT NULL DEFAULT 0,  -- how often it was taken up
    executor     text,
    rewind_to    int,                     -- the journal step from which the next run goes on
    step         text,                    -- the step that failed or is being run
    parked_on    text,                    -- the system it waits for
    error        text,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    done_at      timestamptz
) WITH (fillfactor = 80);
CREATE INDEX flow_case_ready ON flow_case (criticality, position) WHERE state = 'ready';
CREATE INDEX flow_case_open ON flow_case (flow, ordering_key, position) WHERE state NOT IN ('done', 'skipped');
CREATE INDEX flow_case_running ON flow_case (executor) WHERE state = 'running';
CREATE INDEX flow_case_parked ON flow_case (parked_on, criticality, position) WHERE state = 'parked';
CREATE INDEX flow_case_event ON flow_case (event_shard, event_seq);

-- Outbound commands: at most one effect for each key.
CREATE TABLE delivery (
    key          text PRIMARY KEY,
    system       text NOT NULL,
    operation    text NOT NULL,
    case_id      text,
    step         text,
    state        text NOT NULL DEFAULT 'pending', -- pending, attempting, in_doubt, done, rejected, dead
    attempts     int NOT NULL DEFAULT 0,
    owner        text,
    fence        bigint NOT NULL DEFAULT 0,
    leased_until timestamptz,
    request      bytea NOT NULL,
    response     bytea,
    document     text,                    -- type number, as people call it
    found        boolean NOT NULL DEFAULT false, -- the effect of an earlier attempt was found, not made again
    error        text,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    done_at      timestamptz
);
CREATE INDEX delivery_by_case ON delivery (case_id);
CREATE INDEX delivery_open ON delivery (system, state) WHERE state <> 'done';

CREATE TABLE delivery_attempt (
    key          text NOT NULL,
    attempt      int NOT NULL,
    executor     text NOT NULL,
    started_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    outcome      text,                    -- done, found, rejected, unavailable, failed
    error        text,
    PRIMARY KEY (key, attempt)
);

-- Which cases asked for a delivery: several may share one (a replenishment).
CREATE TABLE delivery_case (
    key          text NOT NULL,
    case_id      text NOT NULL,
    step         text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (key, case_id)
);
CREATE INDEX delivery_case_case ON delivery_case (case_id);

-- What each feed handed over, and what it could not.
CREATE TABLE feed_result (
    feed         text NOT NULL,
    shard        int NOT NULL,
    event_seq    bigint NOT NULL,
    at           timestamptz NOT NULL,
    receipt      text NOT NULL
);
CREATE INDEX feed_result_event ON feed_result (shard, event_seq);

CREATE TABLE feed_parked (
    feed         text NOT NULL,
    shard        int NOT NULL,
    event_seq    bigint NOT NULL,
    event_at     timestamptz NOT NULL,
    key          text NOT NULL,
    state        text NOT NULL,           -- dead: refused by the system; behind: waits behind a dead one of its key
    attempts     int NOT NULL DEFAULT 0,
    error        text,
    at           timestamptz NOT NULL,
    PRIMARY KEY (feed, shard, event_seq)
);
CREATE INDEX feed_parked_key ON feed_parked (feed, key);

-- Circuit breakers, shared by all processes.
CREATE TABLE breaker (
    system       text PRIMARY KEY,
    state        text NOT NULL DEFAULT 'closed',  -- closed, open, half_open
    failures     int NOT NULL DEFAULT 0,
    opened_at    timestamptz,
    retry_at     timestamptz,
    last_error   text,
    held         boolean NOT NULL DEFAULT false,  -- a person stopped deliveries to this system
    updated_at   timestamptz NOT NULL
);

-- Business exceptions for people.
CREATE TABLE work_item (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue        text NOT NULL,
    cause        text NOT NULL,           -- class:value; one open item for each queue and cause
    title        text NOT NULL,
    remedy       text NOT NULL,
    state        text NOT NULL DEFAULT 'open',   -- open, released, skipped, resolved
    assignee     text,
    owner        text NOT NULL,
    at_risk_usd  numeric(14,2) NOT NULL DEFAULT 0,
    due_at       timestamptz NOT NULL,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    closed_at    timestamptz,
    closed_by    text,
    reason       text
);
CREATE UNIQUE INDEX work_item_cause ON work_item (queue, cause) WHERE state = 'open';
CREATE INDEX work_item_queue ON work_item (state, queue, due_at);

CREATE TABLE work_item_case (
    work_item    bigint NOT NULL REFERENCES work_item,
    subject      text NOT NULL,           -- c/<case>, m/<shard>/<seq>, f/<feed>/<shard>/<seq>
    at_risk_usd  numeric(14,2) NOT NULL DEFAULT 0,
    detail       text NOT NULL DEFAULT '',
    at           timestamptz NOT NULL,
    PRIMARY KEY (work_item, subject)
);
CREATE INDEX work_item_case_subject ON work_item_case (subject);

-- Workers, their heartbeats and what they run.
CREATE TABLE executor (
    id           text PRIMARY KEY,
    role         text NOT NULL,
    pid          int NOT NULL,
    host         text NOT NULL,
    flows_version text NOT NULL,
    started_at   timestamptz NOT NULL,
    heartbeat_at timestamptz NOT NULL,
    state        text NOT NULL            -- running, stopped, dead
);

-- Crosswalk entries: the estate's tables and what stewards decided since.
CREATE TABLE crosswalk_entry (
    crosswalk    text NOT NULL,
    code         text NOT NULL,
    facility     text NOT NULL DEFAULT '',
    valid_from   date NOT NULL DEFAULT '-infinity',
    valid_to     date NOT NULL DEFAULT 'infinity',
    target       text NOT NULL,
    origin       text NOT NULL,           -- table, steward
    changed_by   text NOT NULL,
    changed_at   timestamptz NOT NULL,
    PRIMARY KEY (crosswalk, code, facility, valid_from, origin)
);

-- Replays: durable jobs, dry run first.
CREATE TABLE replay_job (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    selection    text NOT NULL,           -- JSON
    dry_run      boolean NOT NULL,
    state        text NOT NULL DEFAULT 'queued', -- queued, running, done, cancelled, failed
    rate_per_second double precision NOT NULL,
    total        int,
    done         int NOT NULL DEFAULT 0,
    cursor_at    bigint NOT NULL DEFAULT 0,
    actor        text NOT NULL,
    reason       text NOT NULL,
    summary      text,
    created_at   timestamptz NOT NULL,
    updated_at   timestamptz NOT NULL,
    leased_until timestamptz
);
CREATE TABLE replay_result (
    job          bigint NOT NULL REFERENCES replay_job,
    ordinal      int NOT NULL,
    original     text NOT NULL,
    copy         text,
    change       text NOT NULL,           -- none, new_event, changed_event, refused
    detail       text NOT NULL DEFAULT '',
    PRIMARY KEY (job, ordinal)
);

-- Counts by which people see a silent feed: what arrived last and when.
CREATE TABLE channel (
    system       text NOT NULL,
    transport    text NOT NULL,
    address      text NOT NULL,
    received     bigint NOT NULL DEFAULT 0,
    refused      bigint NOT NULL DEFAULT 0,
    duplicates   bigint NOT NULL DEFAULT 0,
    violations   bigint NOT NULL DEFAULT 0,
    last_at      timestamptz,
    PRIMARY KEY (system, transport)
);
