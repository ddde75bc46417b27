-- Protected data at rest: data keys, wrapped only. What they seal stands in the columns there were: message.raw, event.payload,
-- delivery.request and response, feed_result.receipt. business_key.value of a protected kind (account, MRN) is a token.
SET search_path = hilum, public;

-- A data key seals values of one class of data in one period. The key that wraps it never comes into the database.
-- The row of a destroyed key stays, without the key, to say by which decision.
CREATE TABLE data_key (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    data_class   text NOT NULL,
    period       date NOT NULL,           -- the first day (UTC) of what it seals; 1970-01-01 for keys without a period
    ends         date,                    -- the first day after; NULL for keys without a period
    generation   int NOT NULL,
    wrapped      bytea,                   -- NULL once destroyed
    wrapped_by   text NOT NULL,           -- the key-encryption key
    reserved     bigint NOT NULL DEFAULT 0, -- how many values processes were allowed to seal: below 2^32 (SP 800-38D, 8.3)
    made_at      timestamptz NOT NULL,
    retired_at   timestamptz,             -- seals nothing new since
    destroyed_at timestamptz,
    certificate  text,
    UNIQUE (data_class, period, generation),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK (reserved < 4294967296)
);

-- How far what earlier releases stored has been sealed: one row for each kind of thing, gone through once.
CREATE TABLE sealing_progress (
    part         text PRIMARY KEY,
    rows_sealed  bigint NOT NULL DEFAULT 0,
    done_at      timestamptz
);
