-- Whether books agree: what comparisons found, how far the ledger was read, and what billing was told of each posting.
SET search_path = hilum, public;

-- One record on which two books differ. It stays when it was mended: an auditor asks what was wrong, and for how long.
CREATE TABLE book_difference (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    books       text NOT NULL,                 -- staged-ledger, ledger-foreign, billing-staged
    record      text NOT NULL,                 -- remittance/HHP01/EFT-7/ST-MARY
    facility    text NOT NULL,
    day         date NOT NULL,
    account     text NOT NULL,
    what        text NOT NULL,
    expected    numeric(18, 2) NOT NULL,       -- Debits less credits.
    found       numeric(18, 2) NOT NULL,
    first_seen  timestamptz NOT NULL,
    last_seen   timestamptz NOT NULL,
    last_run    text NOT NULL,
    sightings   int NOT NULL DEFAULT 1,
    closed_at   timestamptz
);
CREATE UNIQUE INDEX book_difference_open ON book_difference (books, record, account, what) WHERE closed_at IS NULL;
CREATE INDEX book_difference_day ON book_difference (facility, day);

CREATE TABLE book_comparison (
    run         text NOT NULL,
    books       text NOT NULL,
    compared    int NOT NULL,
    open        int NOT NULL,
    at          timestamptz NOT NULL,
    PRIMARY KEY (run, books)
);
CREATE INDEX book_comparison_newest ON book_comparison (books, at DESC);

CREATE TABLE ledger_watch (
    account     text PRIMARY KEY,
    cursor      text
);

-- What was last said to billing about a posting.
CREATE TABLE settlement_told (
    source      text NOT NULL,
    facility    text NOT NULL,
    state       text NOT NULL,                 -- posted, refused
    said        text NOT NULL,                 -- The journal's number, or the reason's title.
    told_at     timestamptz NOT NULL,
    PRIMARY KEY (source, facility)
);

-- The delivery by which a source was staged: its case is where a refusal of the posting waits.
ALTER TABLE posting_source ADD COLUMN staged_by text NOT NULL DEFAULT '';
