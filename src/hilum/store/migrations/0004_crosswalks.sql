-- What the estate declares of its crosswalks, so that a steward's terminal and every process can check a decision
-- without the estate's folder.
SET search_path = hilum, public;

CREATE TABLE crosswalk (
    name         text PRIMARY KEY,
    source       text NOT NULL,
    target       text NOT NULL,
    owner        text NOT NULL,
    targets      text NOT NULL,           -- file:column of the target list; empty when any target is allowed
    facilities   text[] NOT NULL,         -- the estate's, for entries of one facility
    synced_at    timestamptz NOT NULL
);

CREATE TABLE crosswalk_target (
    crosswalk    text NOT NULL REFERENCES crosswalk ON DELETE CASCADE,
    target       text NOT NULL,
    PRIMARY KEY (crosswalk, target)
);

-- Raised with every change of an entry: a reader sees in one row that it has to read again.
CREATE TABLE crosswalk_version (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version      bigint NOT NULL DEFAULT 0
);
INSERT INTO crosswalk_version DEFAULT VALUES;
