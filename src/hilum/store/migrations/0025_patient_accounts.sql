-- Patient to cash: what is known of patient accounts. Numbers stand here as tokens; the facts themselves lie sealed in their events.
SET search_path = hilum, public;

-- One row for each thing that a system told of an account, in whatever order it came.
CREATE TABLE account_fact (
    event_shard  int NOT NULL,
    event_seq    bigint NOT NULL,
    event_at     timestamptz NOT NULL,
    account      text NOT NULL,                -- Token of number and authority: two hospitals may both have an account 1001.
    at           timestamptz NOT NULL,         -- The event's own time, which orders an account's life.
    message      text NOT NULL,
    change       text NOT NULL,
    facility     text NOT NULL,
    mrn          text NOT NULL,                -- Token of number and authority.
    patient_class text,
    location     text,
    coverages    text[],                       -- Tokens; NULL when the fact does not speak of insurance.
    PRIMARY KEY (event_shard, event_seq)
);
CREATE INDEX account_fact_account ON account_fact (account);

-- What the facts of an account make, folded anew whenever one is added: a list for people, derived and no record.
CREATE TABLE patient_account (
    account      text PRIMARY KEY,
    number       text NOT NULL,                -- Token of the number alone, for those who know no authority.
    mrn          text NOT NULL,
    facility     text NOT NULL,
    status       text NOT NULL,                -- provisional, pre-admitted, open, discharged, cancelled
    patient_class text,
    location     text,
    began_at     timestamptz,
    discharged_at timestamptz,
    cancelled_at timestamptz,
    waiting      text[] NOT NULL,              -- Cancellations of what nobody has told yet.
    facts        int NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX patient_account_number ON patient_account (number);
CREATE INDEX patient_account_mrn ON patient_account (mrn);
CREATE INDEX patient_account_place ON patient_account (facility, status);

-- One row for each merge that was told, of a patient (mrn) or an account.
CREATE TABLE merge_fact (
    event_shard  int NOT NULL,
    event_seq    bigint NOT NULL,
    event_at     timestamptz NOT NULL,
    kind         text NOT NULL,                -- mrn, account
    merged       text NOT NULL,                -- Tokens of number and authority.
    survivor     text NOT NULL,
    merged_number text NOT NULL,               -- Tokens of the number alone.
    survivor_number text NOT NULL,
    facility     text NOT NULL,
    at           timestamptz NOT NULL,
    message      text NOT NULL,
    PRIMARY KEY (event_shard, event_seq, kind)
);
CREATE INDEX merge_fact_merged ON merge_fact (kind, merged);
CREATE INDEX merge_fact_survivor ON merge_fact (kind, survivor);

-- The merges that stand: each merged identifier went into one, and no chain is a circle. Derived, as patient_account is.
CREATE TABLE merged_identifier (
    kind         text NOT NULL,
    merged       text NOT NULL,
    survivor     text NOT NULL,
    merged_number text NOT NULL,
    survivor_number text NOT NULL,
    at           timestamptz NOT NULL,
    PRIMARY KEY (kind, merged)
);
CREATE INDEX merged_identifier_survivor ON merged_identifier (kind, survivor);
CREATE INDEX merged_identifier_number ON merged_identifier (kind, merged_number);
CREATE INDEX merged_identifier_survivor_number ON merged_identifier (kind, survivor_number);

-- Who stands for an identifier now: itself when it was never merged. For tokens of number and authority.
CREATE FUNCTION survivor_of(of_kind text, token text) RETURNS text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE chain AS (
        SELECT token AS here, 0 AS depth
        UNION ALL
        SELECT m.survivor, chain.depth + 1 FROM chain
          JOIN hilum.merged_identifier m ON m.kind = of_kind AND m.merged = chain.here WHERE chain.depth < 100
    )
    SELECT here FROM chain ORDER BY depth DESC LIMIT 1
$$;

-- All identifiers that one survivor stands for, itself among them.
CREATE FUNCTION merged_with(of_kind text, token text) RETURNS SETOF text LANGUAGE sql STABLE AS $$
    WITH RECURSIVE found AS (
        SELECT hilum.survivor_of(of_kind, token) AS here
        UNION
        SELECT m.merged FROM found JOIN hilum.merged_identifier m ON m.kind = of_kind AND m.survivor = found.here
    )
    SELECT here FROM found
$$;

-- What payers were asked about an account's coverage for a day, and what they said. Each answer is a row; none is changed.
CREATE TABLE coverage_answer (
    inquiry      text NOT NULL,                -- Token of account, insurer, member and day; also names the case.
    attempt      int NOT NULL,                 -- 0: it is to be verified. From 1: what came of asking.
    account      text NOT NULL,
    number       text NOT NULL,
    facility     text NOT NULL,
    insurer      text NOT NULL,
    payer        text NOT NULL DEFAULT '',
    on_day       date NOT NULL,
    status       text NOT NULL,                -- to-verify, not-verified, active, inactive, unknown, not-asked, stopped
    reference    text NOT NULL,                -- Ours; the payer's answer carries it back.
    at           timestamptz NOT NULL,
    PRIMARY KEY (inquiry, attempt)
);
CREATE INDEX coverage_answer_account ON coverage_answer (account);
CREATE INDEX coverage_answer_waiting ON coverage_answer (at) WHERE status IN ('to-verify', 'not-verified');

-- What was told stays told, whatever program asks.
CREATE FUNCTION account_facts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a fact of an account is never changed or removed; what corrects it is a fact of its own' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER account_fact_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON account_fact
    FOR EACH STATEMENT EXECUTE FUNCTION account_facts_stay();
CREATE TRIGGER merge_fact_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON merge_fact
    FOR EACH STATEMENT EXECUTE FUNCTION account_facts_stay();
CREATE TRIGGER coverage_answer_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON coverage_answer
    FOR EACH STATEMENT EXECUTE FUNCTION account_facts_stay();
