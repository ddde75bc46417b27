-- Evidence: who saw what, heads published elsewhere, packages for the archive, legal holds and purge certificates.
SET search_path = hilum, public;

-- The audit shard in which each process records what people and programs saw. Far above the intakes' own numbers.
CREATE TABLE access_shard (
    name         text PRIMARY KEY,
    shard        int NOT NULL UNIQUE CHECK (shard >= 1000000)
);

-- By what an access is found: subject:m/1/7, actor:person:ana, sought:account:<token>. The entries are the record; these
-- rows only find them, and `hilum audit verify` compares the two.
CREATE TABLE access_mark (
    mark         text COLLATE "C" NOT NULL,
    at           timestamptz NOT NULL,
    shard        int NOT NULL,
    seq          bigint NOT NULL,
    PRIMARY KEY (mark, shard, seq)
);
CREATE INDEX access_mark_at ON access_mark (at);
CREATE INDEX access_mark_entry ON access_mark (shard, seq);

-- One round trip and one commit for everything that was asked while the last commit ran.
CREATE FUNCTION record_accesses(
    p_shard int, a_subject text[], a_entry bytea[], a_at timestamptz[], k_mark text[], k_ordinal int[]
) RETURNS void LANGUAGE plpgsql SET search_path = hilum, public AS $$
DECLARE
    first_seq bigint;
BEGIN
    UPDATE audit_shard SET next_seq = next_seq + cardinality(a_entry) WHERE shard = p_shard
    RETURNING next_seq - cardinality(a_entry) INTO first_seq;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'hilum: audit shard % does not exist', p_shard USING ERRCODE = 'HL003';
    END IF;
    INSERT INTO audit_entry (shard, seq, subject, entry)
    SELECT p_shard, first_seq + u.o - 1, u.s, u.e FROM unnest(a_subject, a_entry) WITH ORDINALITY AS u(s, e, o);
    INSERT INTO access_mark (mark, at, shard, seq)
    SELECT u.m, a_at[u.o], p_shard, first_seq + u.o - 1 FROM unnest(k_mark, k_ordinal) AS u(m, o);
END $$;

-- How far each place outside the database knows the log. What it really knows is asked of the place itself.
CREATE TABLE head_publication (
    place        text PRIMARY KEY,        -- file:..., s3://...: no credential
    size         bigint,                  -- of the newest head published there
    published_at timestamptz,
    tried_at     timestamptz NOT NULL,
    failures     int NOT NULL DEFAULT 0,  -- in a row
    problem      text,                    -- why it lags, in words for an operator
    alarm        text                     -- a rollback or a fork: nothing more is published there
);

-- Evidence that somebody, or the calendar, asked to be archived.
CREATE TABLE evidence_request (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject      text NOT NULL,           -- key/<address>, period/<2026-11>/<facility>
    scope        text NOT NULL,           -- JSON of the scope, without any protected value
    with_payloads boolean NOT NULL DEFAULT false,
    actor        text NOT NULL,
    reason       text NOT NULL,
    scheduled    boolean NOT NULL DEFAULT false,
    requested_at timestamptz NOT NULL,
    taken_at     timestamptz,             -- when it became an event
    event        text                     -- m/<shard>/<seq> of that
);
CREATE UNIQUE INDEX evidence_request_scheduled ON evidence_request (subject) WHERE scheduled;
CREATE INDEX evidence_request_open ON evidence_request (id) WHERE taken_at IS NULL;

-- Packages as they were assembled, until the archive has them.
CREATE TABLE evidence_package (
    digest       text PRIMARY KEY,        -- SHA-256 of the bytes, hexadecimal: its name in the archive
    request      bigint UNIQUE REFERENCES evidence_request,
    subject      text NOT NULL,
    size_bytes   bigint NOT NULL,
    head_size    bigint NOT NULL,         -- the leaves under the head its proofs lead to
    made_at      timestamptz NOT NULL,
    content      bytea,                   -- NULL once the archive keeps it and its retention here has ended
    kept_in      text,                    -- the archive system
    kept_as      text,                    -- its own reference
    kept_at      timestamptz
);
ALTER TABLE evidence_package ALTER COLUMN content SET STORAGE EXTERNAL;

-- What must not be purged, whatever its retention says (preservation in anticipation of litigation).
CREATE TABLE legal_hold (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key_values   text[] NOT NULL DEFAULT '{}', -- business keys as they are stored: tokens when protected
    key_shown    text,                    -- as it may be shown
    facility     text,
    from_at      timestamptz,
    until_at     timestamptz,
    reason       text NOT NULL CHECK (reason <> ''),
    placed_by    text NOT NULL,
    placed_at    timestamptz NOT NULL,
    lift_asked_by text,
    lift_reason  text,
    lift_asked_at timestamptz,
    lifted_by    text,
    lifted_at    timestamptz,
    CHECK (cardinality(key_values) > 0 OR facility IS NOT NULL OR from_at IS NOT NULL OR until_at IS NOT NULL),
    CHECK (lifted_by IS NULL OR lifted_by <> lift_asked_by)
);

-- What was removed, how much of it, by which rule; signed with the log's key and named in the log.
CREATE TABLE purge_certificate (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           timestamptz NOT NULL,
    rule         text NOT NULL,
    table_name   text NOT NULL,
    rows         bigint NOT NULL,
    held_rows    bigint NOT NULL,
    statement    bytea NOT NULL,          -- canonical JSON, exactly as signed
    key_id       text NOT NULL,
    signature    bytea NOT NULL
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON purge_certificate
    FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse_change();
