-- The gateway: answers behind idempotency keys, and who uses which version of which API.
SET search_path = hilum, public;

-- One row for each Idempotency-Key of each caller and operation (draft-ietf-httpapi-idempotency-key-header). The key is
-- kept as a digest: callers choose it, and may choose badly.
CREATE TABLE api_idempotency (
    caller       text NOT NULL,           -- service:ap-bot@issuer
    operation    text NOT NULL,           -- erp.place@v1
    key          bytea NOT NULL,          -- SHA-256 of the key
    fingerprint  bytea NOT NULL,          -- SHA-256 of method, path and body
    state        text NOT NULL,           -- running, answered
    fence        bigint NOT NULL DEFAULT 1,
    leased_until timestamptz NOT NULL,
    status       smallint,
    headers      bytea,                   -- JSON: those of the answer that are repeated with it
    body         bytea,                   -- sealed where the platform seals
    sealed       boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (caller, operation, key)
) WITH (fillfactor = 80);
CREATE INDEX api_idempotency_expires ON api_idempotency (expires_at);

-- Requests by day: whom would a retirement break? Written in batches by every process of the door.
CREATE TABLE api_usage (
    day          date NOT NULL,
    consumer     text NOT NULL,           -- service:ap-bot; anonymous: before anyone was recognised
    api          text NOT NULL,
    version      int NOT NULL,
    operation    text NOT NULL,
    status_class smallint NOT NULL,       -- 2, 3, 4, 5
    requests     bigint NOT NULL,
    seconds      double precision NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (day, consumer, api, version, operation, status_class)
) WITH (fillfactor = 80);
CREATE INDEX api_usage_version ON api_usage (api, version, day);
