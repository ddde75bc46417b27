-- Patient to cash: the claim books. Facts about claims are only ever added; where a claim stands is folded from all of them.
SET search_path = hilum, public;

-- One transaction of claims (837), as it was sent.
CREATE TABLE claim_batch (
    batch       text PRIMARY KEY,              -- HARBOR/20260302/000000905-905-0001
    partner     text NOT NULL,
    interchange text NOT NULL,
    group_number text NOT NULL,                -- How a 999 names it.
    number      text NOT NULL,
    file        text NOT NULL,                 -- BHT03: how a 277CA names it.
    on_day      date NOT NULL,
    claims      int NOT NULL,
    charge      numeric(16, 2) NOT NULL,
    digest      bytea NOT NULL,
    booked_at   timestamptz NOT NULL
);
CREATE INDEX claim_batch_control ON claim_batch (partner, group_number);
CREATE INDEX claim_batch_file ON claim_batch (file) WHERE file <> '';

-- A document that says something of claims: 999, 277CA, 277, 835.
CREATE TABLE claim_document (
    source      text PRIMARY KEY,
    kind        text NOT NULL,                 -- answers, remittance
    on_day      date NOT NULL,
    facts       int NOT NULL,
    digest      bytea NOT NULL,
    booked_at   timestamptz NOT NULL
);

-- What was said of whole files, groups, or a provider's part of a file.
CREATE TABLE claim_file_answer (
    source      text NOT NULL REFERENCES claim_document,
    line        text NOT NULL,
    on_day      date NOT NULL,
    accepted    boolean NOT NULL,
    code        text NOT NULL,
    codes       text[] NOT NULL,
    partner     text NOT NULL,
    group_number text NOT NULL,
    number      text NOT NULL,
    file        text NOT NULL,
    provider    text NOT NULL,
    PRIMARY KEY (source, line)
);
CREATE INDEX claim_file_answer_control ON claim_file_answer (partner, group_number) WHERE group_number <> '';
CREATE INDEX claim_file_answer_file ON claim_file_answer (file) WHERE file <> '';

-- What is known of each claim. Numbers of claims stand here as tokens only; they are sealed in the events.
CREATE TABLE claim_fact (
    claim       text NOT NULL,
    kind        text NOT NULL CHECK (kind IN ('submitted', 'answered', 'adjudicated')),
    source      text NOT NULL,
    line        text NOT NULL,
    on_day      date NOT NULL,
    facility    text NOT NULL DEFAULT '',
    payer       text NOT NULL DEFAULT '',
    payer_class text NOT NULL DEFAULT '',
    provider    text NOT NULL DEFAULT '',
    sequence    text NOT NULL DEFAULT '',
    frequency   text NOT NULL DEFAULT '',
    replaces    text,                          -- A token of the payer's number (REF*F8).
    file        text NOT NULL DEFAULT '',
    status      text NOT NULL DEFAULT '',      -- The category of an answer, CLP02 of a decision.
    accepted    boolean,
    codes       text[] NOT NULL DEFAULT '{}',
    payer_claim text,                          -- A token (REF*1K, CLP07).
    charge      numeric(16, 2),
    paid        numeric(16, 2),
    adjusted    numeric(16, 2),
    patient     numeric(16, 2),
    denied      numeric(16, 2),
    service_from date,
    service_to  date,
    PRIMARY KEY (source, line),
    CHECK (kind <> 'adjudicated' OR charge = paid + adjusted + patient)
);
CREATE INDEX claim_fact_claim ON claim_fact (claim);
CREATE INDEX claim_fact_replaces ON claim_fact (replaces) WHERE replaces IS NOT NULL;
CREATE INDEX claim_fact_payer_claim ON claim_fact (payer_claim) WHERE payer_claim IS NOT NULL;

-- What of each decision was denied, reason by reason.
CREATE TABLE denied_amount (
    source      text NOT NULL,
    line        text NOT NULL,
    claim       text NOT NULL,
    group_code  text NOT NULL,
    reason      text NOT NULL,                 -- CARC
    remarks     text[] NOT NULL,               -- RARC
    amount      numeric(16, 2) NOT NULL,
    PRIMARY KEY (source, line, group_code, reason),
    FOREIGN KEY (source, line) REFERENCES claim_fact
);
CREATE INDEX denied_amount_claim ON denied_amount (claim);

CREATE FUNCTION claim_facts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what is known of claims is never changed or removed; what turned out otherwise is a fact of its own'
        USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER claim_fact_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_fact
    FOR EACH STATEMENT EXECUTE FUNCTION claim_facts_stay();
CREATE TRIGGER denied_amount_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON denied_amount
    FOR EACH STATEMENT EXECUTE FUNCTION claim_facts_stay();
CREATE TRIGGER claim_file_answer_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON claim_file_answer
    FOR EACH STATEMENT EXECUTE FUNCTION claim_facts_stay();

-- Where each claim stands: folded from its facts (model/claim_life.py), made anew whenever one is added.
CREATE TABLE claim (
    claim       text PRIMARY KEY,
    number      bigint GENERATED ALWAYS AS IDENTITY UNIQUE,   -- What people call it where its own number is not for them.
    state       text NOT NULL,
    since       date,
    source      text NOT NULL,                 -- The document that brought it there.
    codes       text[] NOT NULL,
    batch       text NOT NULL,
    facility    text NOT NULL,
    payer       text NOT NULL,
    payer_class text NOT NULL,
    charge      numeric(16, 2) NOT NULL,
    adjudicated numeric(16, 2) NOT NULL,
    paid        numeric(16, 2) NOT NULL,
    adjusted    numeric(16, 2) NOT NULL,
    patient     numeric(16, 2) NOT NULL,
    denied      numeric(16, 2) NOT NULL,
    awaits_original boolean NOT NULL,          -- A reversal is known, and what it takes back is not.
    paid_at     text NOT NULL,                 -- The payee's facility, where it is another one than the claim's.
    sent_on     date,
    service_from date,
    service_to  date,
    first_known date NOT NULL,
    updated_at  timestamptz NOT NULL,
    CHECK (adjudicated = paid + adjusted + patient)
);
CREATE INDEX claim_state ON claim (state, payer, facility);
CREATE INDEX claim_batch_of ON claim (batch);
CREATE INDEX claim_odd ON claim (payer) WHERE awaits_original OR paid_at <> '';

-- Where each denial stands: folded (model/denial_life.py).
CREATE TABLE denial (
    number      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    claim       text NOT NULL,
    source      text NOT NULL,
    line        text NOT NULL,
    group_code  text NOT NULL,
    reason      text NOT NULL,
    remarks     text[] NOT NULL,
    payer       text NOT NULL,
    payer_class text NOT NULL,
    facility    text NOT NULL,
    amount      numeric(16, 2) NOT NULL,
    on_day      date NOT NULL,
    due_on      date,                          -- When the payer takes nothing more for it.
    cause       text NOT NULL,
    state       text NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (source, line, group_code, reason)
);
CREATE INDEX denial_claim ON denial (claim);
CREATE INDEX denial_work ON denial (state, facility, payer, due_on);

-- What people decided about denials, and what came of it.
CREATE TABLE denial_decision (
    decision    bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    denial      bigint NOT NULL REFERENCES denial,
    kind        text NOT NULL CHECK (kind IN ('resubmit', 'write_off', 'written_off', 'refused')),
    reference   text NOT NULL UNIQUE,          -- One decision is written down once.
    reason      text NOT NULL,
    actor       text NOT NULL,
    at          timestamptz NOT NULL
);
CREATE INDEX denial_decision_denial ON denial_decision (denial);
CREATE TRIGGER denial_decision_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON denial_decision
    FOR EACH STATEMENT EXECUTE FUNCTION claim_facts_stay();

-- Which write-offs became events: an intake's shard has them, and a crash between the two submits the same fact again.
CREATE TABLE denial_taken (
    decision    bigint PRIMARY KEY REFERENCES denial_decision,
    event       text NOT NULL,
    at          timestamptz NOT NULL
);
