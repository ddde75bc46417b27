-- Patient to cash: what patients are charged, each charge once, from its fact to the journal it stands in.
SET search_path = hilum, public;

-- The charges as they were told. Never changed: a credit is a charge of its own, below zero.
CREATE TABLE charge (
    charge      text PRIMARY KEY,              -- ehr/C-1001, ehr/C-1001/credit, usage/U-1
    collection  text NOT NULL,
    facility    text NOT NULL,
    account     text,                          -- A token: the number itself stands sealed in the event.
    department  text NOT NULL,
    code        text NOT NULL,
    charge_class text NOT NULL DEFAULT '',     -- Where the fact itself says it.
    payer       text NOT NULL DEFAULT '',
    service_on  date NOT NULL,
    amount      numeric(16, 2) NOT NULL,
    takes_back  text NOT NULL DEFAULT '',
    event_shard int NOT NULL,
    event_seq   bigint NOT NULL,
    event_at    timestamptz NOT NULL,
    collected_at timestamptz NOT NULL
);
CREATE INDEX charge_account ON charge (account);
CREATE INDEX charge_day ON charge (facility, service_on);
CREATE INDEX charge_takes_back ON charge (takes_back) WHERE takes_back <> '';

-- Where each charge stands on its way to the ledger.
CREATE TABLE charge_state (
    charge      text PRIMARY KEY REFERENCES charge,
    facility    text NOT NULL,
    service_on  date NOT NULL,
    state       text NOT NULL CHECK (state IN ('held', 'again', 'skipped', 'open', 'staged')),
    cause       text,                          -- Why it is held: UnknownChargeCode:99213.
    place_class text NOT NULL DEFAULT '',
    cost_centre text NOT NULL DEFAULT '',
    payer_class text NOT NULL DEFAULT '',
    post_from   date,                          -- It was accrued in an earlier period, so it may not stand in that one again.
    source      text,
    CHECK ((state = 'staged') = (source IS NOT NULL)),
    CHECK (state <> 'held' OR cause IS NOT NULL)
) WITH (fillfactor = 80);
CREATE INDEX charge_state_open ON charge_state (facility, service_on) WHERE state = 'open';
CREATE INDEX charge_state_held ON charge_state (facility, cause) WHERE state = 'held';
CREATE INDEX charge_state_again ON charge_state (charge) WHERE state = 'again';
CREATE INDEX charge_state_source ON charge_state (source) WHERE source IS NOT NULL;

-- Events that could not be read or collected: kept until they can.
CREATE TABLE charge_unread (
    collection  text NOT NULL,
    event_shard int NOT NULL,
    event_seq   bigint NOT NULL,
    event_at    timestamptz NOT NULL,
    facility    text NOT NULL,
    cause       text NOT NULL,
    state       text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'again', 'skipped')),
    PRIMARY KEY (collection, event_shard, event_seq)
);

-- A run gathers what is open at a facility, once; each service day in it is a batch, which is a source of postings.
CREATE TABLE charge_run (
    run         text PRIMARY KEY,
    facility    text NOT NULL,
    until_day   date NOT NULL,
    at          timestamptz NOT NULL
);
CREATE TABLE charge_batch (
    source      text PRIMARY KEY REFERENCES posting_source,
    run         text NOT NULL REFERENCES charge_run,
    facility    text NOT NULL,
    service_on  date NOT NULL,
    batch       int NOT NULL,                  -- From the second on: charges that came after their day was posted.
    on_day      date NOT NULL,
    UNIQUE (facility, service_on, batch)
);
CREATE INDEX charge_batch_run ON charge_batch (run);

-- Which charges stand in which accrual.
CREATE TABLE accrued_charge (
    charge      text NOT NULL REFERENCES charge,
    source      text NOT NULL REFERENCES posting_source,
    PRIMARY KEY (charge, source)
);

CREATE FUNCTION charges_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'a charge is never changed or removed; record its credit' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER charge_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON charge
    FOR EACH STATEMENT EXECUTE FUNCTION charges_stay();
