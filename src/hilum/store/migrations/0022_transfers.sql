-- How files come and go: what was fetched from partners, what was expected by when, and what answers interchanges.
SET search_path = hilum, public;

-- A file seen at a partner's, from the moment its bytes are safe here until it is gone there. Its name stands nowhere: names carry PHI.
CREATE TABLE fetched_file (
    system      text NOT NULL,
    file        bytea NOT NULL,                -- Keyed digest of where it lies, its name, size and time: the same file found again.
    state       text NOT NULL CHECK (state IN ('fetched', 'taken', 'refused', 'finished')),
    size_bytes  bigint NOT NULL,
    sha256      bytea,                         -- NULL for what was never fetched.
    times       int NOT NULL DEFAULT 1,        -- How often it came again after it was finished.
    messages    int NOT NULL DEFAULT 0,
    refused     int NOT NULL DEFAULT 0,
    problem     text NOT NULL DEFAULT '',      -- Why it was not taken; nothing of its name or content.
    found_at    timestamptz NOT NULL,
    taken_at    timestamptz,
    finished_at timestamptz,
    PRIMARY KEY (system, file)
);
CREATE INDEX fetched_file_open ON fetched_file (system) WHERE state <> 'finished';

-- Up to where a standing reader has read each shard's messages.
CREATE TABLE message_cursor (
    reader      text NOT NULL,
    shard       int NOT NULL,
    seq         bigint NOT NULL,
    PRIMARY KEY (reader, shard)
);

-- A file that is due: one row for each expectation and day, one alert at most.
CREATE TABLE expected_file (
    system      text NOT NULL,
    name        text NOT NULL,
    day         date NOT NULL,
    due_at      timestamptz NOT NULL,          -- With its grace.
    opens_at    timestamptz NOT NULL,          -- From when on a file counts for this day.
    state       text NOT NULL CHECK (state IN ('expected', 'received', 'late', 'missing')),
    message     text,                          -- The message that answered it: m/1/7.
    received_at timestamptz,
    item        bigint,                        -- The work item of its alert.
    PRIMARY KEY (system, name, day),
    CHECK ((state IN ('received', 'late')) = (message IS NOT NULL) AND (message IS NULL) = (received_at IS NULL))
);
CREATE UNIQUE INDEX expected_file_message ON expected_file (system, name, message) WHERE message IS NOT NULL;
CREATE INDEX expected_file_open ON expected_file (due_at) WHERE state IN ('expected', 'missing');

-- Since when an expectation stands: what was due before that is nobody's debt.
CREATE TABLE expected_since (
    system      text NOT NULL,
    name        text NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (system, name)
);

-- The acknowledgement that one stored interchange earns. Its bytes are made from the message when they are needed and stand nowhere.
CREATE TABLE x12_answer (
    shard       int NOT NULL,
    seq         bigint NOT NULL,               -- Of the message it answers.
    system      text NOT NULL,
    control_number int NOT NULL,               -- ISA13 of the answer.
    way         text NOT NULL CHECK (way IN ('folder', 'sftp', 'http')),
    state       text NOT NULL CHECK (state IN ('made', 'ready', 'sent', 'none')),  -- ready: it lies there under a hidden name.
    verdict     text CHECK (verdict IN ('accepted', 'noted', 'refused')),
    made_at     timestamptz NOT NULL,
    sent_at     timestamptz,
    PRIMARY KEY (shard, seq)
);
CREATE INDEX x12_answer_unsent ON x12_answer (system, made_at) WHERE state IN ('made', 'ready');

CREATE TABLE x12_answer_number (
    system      text PRIMARY KEY,
    last        int NOT NULL
);
