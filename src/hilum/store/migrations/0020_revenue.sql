-- Patient to cash: the platform's subledger. What happened in billing, with its accounts, until the ERP's ledger has it and after.
SET search_path = hilum, public;

-- A document or a batch whose entries are posted together: one remittance, one day's charges of a facility.
CREATE TABLE posting_source (
    source      text PRIMARY KEY,              -- remittance/HHP01/EFT-7, charges/ST-MARY/2026-03-02/1
    kind        text NOT NULL,                 -- remittance, charges, deposit, accrual
    reference   text NOT NULL,                 -- What people call it: the trace number, the day.
    payer       text NOT NULL DEFAULT '',
    on_day      date NOT NULL,
    amount      numeric(16, 2) NOT NULL,
    digest      bytea NOT NULL,                -- Of what it moved: the same source with other amounts is refused, not mixed.
    tables      bytea NOT NULL,                -- Digest of the posting tables by which it was staged.
    entries     int NOT NULL,
    staged_at   timestamptz NOT NULL
);
CREATE INDEX posting_source_reference ON posting_source (reference);

-- One journal of the ERP for each facility that a source concerns.
CREATE TABLE posting_journal (
    source      text NOT NULL REFERENCES posting_source,
    facility    text NOT NULL,
    total       numeric(16, 2) NOT NULL CHECK (total > 0),
    number      text,                          -- The ERP's own; NULL while it is not known to be posted.
    document    text,
    posted_on   date,                          -- The day in the ledger: a later one than the source's when its period was closed.
    posted_at   timestamptz,
    PRIMARY KEY (source, facility),
    CHECK ((number IS NULL) = (posted_at IS NULL) AND (number IS NULL) = (posted_on IS NULL))
);
CREATE INDEX posting_journal_open ON posting_journal (source) WHERE number IS NULL;
CREATE INDEX posting_journal_number ON posting_journal (number);

-- The financial staging records. Never changed: what turns out otherwise comes as an entry below zero, turned round.
CREATE TABLE staged_entry (
    source      text NOT NULL REFERENCES posting_source,
    line        text NOT NULL,                 -- Its place in the source: c3s2a1, p1.
    kind        text NOT NULL,
    reason      text NOT NULL DEFAULT '',
    charge_class text NOT NULL DEFAULT '',
    facility    text NOT NULL,
    payer_class text NOT NULL DEFAULT '',
    payer       text NOT NULL DEFAULT '',
    cost_centre text NOT NULL DEFAULT '',
    claim       text,                          -- A token: the number itself stands sealed in the event.
    moved       numeric(16, 2) NOT NULL,       -- As the source says it: below zero where something is taken back.
    debit       text NOT NULL,                 -- Accounts; both empty for a memorandum, which is kept and not posted.
    credit      text NOT NULL,
    rule        text NOT NULL,
    PRIMARY KEY (source, line),
    CHECK ((debit = '') = (credit = '') AND (debit = '' OR debit <> credit))
);
CREATE INDEX staged_entry_claim ON staged_entry (claim) WHERE claim IS NOT NULL;
CREATE INDEX staged_entry_account ON staged_entry (facility, kind);

-- The books of a health system are not rewritten, by whatever program.
CREATE FUNCTION staged_entries_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a staged entry is never changed or removed; stage its reversal' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER staged_entry_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON staged_entry
    FOR EACH STATEMENT EXECUTE FUNCTION staged_entries_stay();
