-- Rates and quotas that all processes share, what vendors told us to wait, and what contract tests found.
SET search_path = hilum, public;

-- One row for each thing that is counted: a consumer of an API, an account that signs in, a system that is called.
-- spent_until_us is the theoretical arrival time of the generic cell rate algorithm (ITU-T I.371): up to there the rate is
-- given away. It only moves forward. Microseconds since 1970 by this server's clock, the only clock that counts here.
CREATE TABLE allowance (
    key            text PRIMARY KEY,
    spent_until_us bigint NOT NULL,
    day            date NOT NULL,          -- The calendar day of the estate that `used` counts.
    used           bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
CREATE INDEX allowance_spent ON allowance (spent_until_us);

-- Lease up to `want` tokens. Token j (from 0) owns the slot [start + j * period, start + (j + 1) * period): it is to be used
-- before its slot begins, and not before its slot's end less burst * period. Slots are disjoint, so whoever holds which token,
-- no window of w microseconds sees more than burst + w / period uses.
-- `life_us`: for how long the first token stays good when the key is idle. `ahead_us`: how far tokens may lie in the future
-- (for callers that wait; 0 for those that are refused). `back`: tokens of `back_day` that were never used, for the quota.
CREATE FUNCTION lease_allowance(
    p_key text, p_period_us bigint, p_burst int, p_want int, p_life_us bigint, p_ahead_us bigint,
    p_quota bigint, p_zone text, p_back int, p_back_day date,
    OUT granted int, OUT start_us bigint, OUT wait_us bigint, OUT room int, OUT full_in_us bigint,
    OUT today date, OUT day_left_us bigint, OUT used_today bigint, OUT refused text
) LANGUAGE plpgsql AS $$
DECLARE
    at        timestamptz;
    now_us    bigint;
    spent_us  bigint;
    begin_us  bigint;
    last_us   bigint;
    had_day   date;
    had_used  bigint;
BEGIN
    INSERT INTO allowance (key, spent_until_us, day) VALUES (p_key, 0, '-infinity') ON CONFLICT DO NOTHING;
    SELECT a.spent_until_us, a.day, a.used INTO spent_us, had_day, had_used FROM allowance a WHERE a.key = p_key FOR UPDATE;
    -- Read under the lock: whoever comes later has a later clock, so that slots are never given twice.
    at := clock_timestamp();
    now_us := floor(extract(epoch FROM at) * 1000000)::bigint;
    today := (at AT TIME ZONE p_zone)::date;
    day_left_us := floor(extract(epoch FROM ((today + 1)::timestamp AT TIME ZONE p_zone) - at) * 1000000)::bigint;
    IF had_day <> today THEN
        had_used := 0;
    ELSIF p_back > 0 AND p_back_day = today THEN
        had_used := greatest(had_used - p_back, 0);
    END IF;
    last_us := now_us + p_burst * p_period_us + p_ahead_us;

    begin_us := greatest(spent_us, now_us + p_life_us);
    granted := greatest(least((last_us - begin_us) / p_period_us, p_want), 0)::int;
    IF granted < 2 AND p_ahead_us = 0 THEN
        -- One for the request that asks, used in this instant: it needs no life, and the whole burst is open to it.
        begin_us := greatest(spent_us, now_us);
        granted := CASE WHEN begin_us + p_period_us <= last_us THEN 1 ELSE 0 END;
    END IF;
    wait_us := CASE WHEN granted > 0 THEN 0 ELSE greatest(spent_us, now_us + p_life_us * (p_ahead_us > 0)::int) + p_period_us - last_us END;
    IF granted = 0 THEN
        refused := 'rate';
    END IF;
    IF p_quota IS NOT NULL THEN
        IF had_used >= p_quota THEN
            refused := 'quota';
            granted := 0;
            wait_us := day_left_us;
        ELSE
            -- The last tenth of a quota is dealt in smaller and smaller parts, so that no process sits on what another needs.
            granted := least(granted, greatest((p_quota - had_used) / 10, 1))::int;
        END IF;
    END IF;
    start_us := begin_us - now_us;
    IF granted > 0 THEN
        spent_us := begin_us + granted * p_period_us;
    END IF;
    used_today := had_used + granted;
    UPDATE allowance a SET spent_until_us = spent_us, day = today, used = used_today
     WHERE a.key = p_key AND (a.spent_until_us, a.day, a.used) IS DISTINCT FROM (spent_us, today, used_today);
    room := greatest(least((now_us + p_burst * p_period_us - greatest(spent_us, now_us)) / p_period_us, p_burst), 0)::int;
    full_in_us := greatest(spent_us - now_us, 0);
END $$;

-- A vendor said "too many, come back later" (429): not a failure, and every process keeps to it.
ALTER TABLE breaker ADD COLUMN throttled_until timestamptz;
ALTER TABLE breaker ADD COLUMN throttled_why text;

-- What each system looked like when its contract was last tested.
CREATE TABLE contract_test (
    system       text PRIMARY KEY,
    tested_at    timestamptz NOT NULL,
    verdict      text NOT NULL,           -- same, additive, deprecated, breaking, unrecorded, unavailable
    changes      text NOT NULL,           -- JSON list
    detail       text NOT NULL DEFAULT ''
);

-- Deprecation (RFC 9745) and Sunset (RFC 8594) that vendors announced on their answers.
CREATE TABLE vendor_notice (
    system       text NOT NULL,
    route        text NOT NULL,           -- Method and path without numbers.
    deprecation  text NOT NULL DEFAULT '',
    sunset       text NOT NULL DEFAULT '',
    link         text NOT NULL DEFAULT '',
    first_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    PRIMARY KEY (system, route)
);
