-- When a schedule was due, and that its facts were taken in. A moment stands here once, whichever worker saw it first.
SET search_path = hilum, public;

CREATE TABLE schedule_moment (
    name        text NOT NULL,
    at          timestamptz NOT NULL,
    asked_by    text NOT NULL,                 -- system:clock, or the person who had it run.
    taken_at    timestamptz,                   -- NULL until every fact of the moment is stored.
    facts       int,
    PRIMARY KEY (name, at),
    CHECK ((taken_at IS NULL) = (facts IS NULL))
);
CREATE INDEX schedule_moment_open ON schedule_moment (at) WHERE taken_at IS NULL;

-- Up to where the clock was followed: what was due before a schedule was first seen is nobody's debt.
CREATE TABLE schedule_clock (
    name        text PRIMARY KEY,
    followed_to timestamptz NOT NULL
);
