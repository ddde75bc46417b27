-- The bank's deposits and their re-association with payers' remittances.
SET search_path = hilum, public;

-- Lines of the bank's statements. Never changed: a later report of the day that repeats a line adds nothing.
CREATE TABLE bank_line (
    number      text PRIMARY KEY,              -- x2200-1f0a9c/2026-03-02/BR-7: account, day and the bank's own reference.
    statement   text NOT NULL,                 -- The report that brought it first, in whose journal it stands.
    line        text NOT NULL,                 -- Its number within account and day.
    position    int NOT NULL,
    account     text NOT NULL,                 -- A handle: the account's own number is confidential, and sealed in the event.
    facility    text NOT NULL,
    on_day      date NOT NULL,
    type_code   text NOT NULL,
    kind        text NOT NULL,                 -- deposit: money of payers; bank_other: what re-association leaves alone.
    amount      numeric(16, 2) NOT NULL,       -- Below zero what went out.
    traces      text[] NOT NULL DEFAULT '{}',  -- Trace numbers (TRN02), and as many companies (TRN03), empty where not said.
    companies   text[] NOT NULL DEFAULT '{}',
    company     text NOT NULL DEFAULT '',
    reference   text NOT NULL DEFAULT '',
    recorded_at timestamptz NOT NULL,
    CHECK (cardinality(traces) = cardinality(companies))
);
CREATE INDEX bank_line_day ON bank_line (on_day) WHERE kind = 'deposit';
CREATE INDEX bank_line_statement ON bank_line (statement);

-- Remittances as cash sees them: what the bank should have, and by which trace number.
CREATE TABLE cash_advice (
    number      text PRIMARY KEY,              -- HHP01/EFT-7
    payer       text NOT NULL,
    company     text NOT NULL,
    trace       text NOT NULL,
    method      text NOT NULL,
    facility    text NOT NULL,
    on_day      date NOT NULL,
    amount      numeric(16, 2) NOT NULL,
    recorded_at timestamptz NOT NULL
);
CREATE INDEX cash_advice_day ON cash_advice (on_day);

-- By what they may meet however far apart their days are: trace numbers, and checks' numbers with their amounts.
CREATE TABLE cash_link (
    link        text NOT NULL,
    side        text NOT NULL CHECK (side IN ('deposit', 'remittance')),
    number      text NOT NULL,
    PRIMARY KEY (link, side, number)
);

CREATE FUNCTION cash_facts_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what a bank or a payer said is never changed or removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER bank_line_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON bank_line
    FOR EACH STATEMENT EXECUTE FUNCTION cash_facts_stay();
CREATE TRIGGER cash_link_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_link
    FOR EACH STATEMENT EXECUTE FUNCTION cash_facts_stay();
CREATE TRIGGER cash_advice_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON cash_advice
    FOR EACH STATEMENT EXECUTE FUNCTION cash_facts_stay();

-- How each of them stands, given all of them: made anew from the facts whenever one comes that may change it.
CREATE TABLE cash_standing (
    side        text NOT NULL CHECK (side IN ('deposit', 'remittance')),
    number      text NOT NULL,
    state       text NOT NULL,
    met_by      text[] NOT NULL,
    cash_group  text NOT NULL,
    difference  numeric(16, 2) NOT NULL,
    on_day      date NOT NULL,
    since       timestamptz NOT NULL,
    PRIMARY KEY (side, number)
);
CREATE INDEX cash_standing_open ON cash_standing (on_day) WHERE state = 'open';
CREATE INDEX cash_standing_group ON cash_standing (cash_group);

-- What people were told of: once for each amount, whatever they decided about it.
CREATE TABLE cash_told (
    subject     text PRIMARY KEY,              -- deposit/x2200.../BR-7, cash/remittance/HHP01/EFT-7
    cause       text NOT NULL,
    queue       text NOT NULL,
    amount      numeric(16, 2) NOT NULL,
    work_item   bigint NOT NULL,
    told_at     timestamptz NOT NULL
);
