-- Master data: what the owners of departments, locations, providers, payers, cost centres and accounts say of them, and where it
-- does not fit what the platform goes by.
SET search_path = hilum, public;

-- One thing an owner said of one record. Nothing is changed or removed: a record is what its versions come to, in the order of the
-- owner's own time, so that what arrives late changes the past and not the present.
CREATE TABLE master_version (
    object       text NOT NULL,                -- department, location, provider, payer, cost_centre, ledger_account ...
    code         text NOT NULL,
    facility     text NOT NULL DEFAULT '',     -- Where it counts; empty for the whole network.
    system       text NOT NULL,                -- Who said it: the authority at that time.
    effective_at timestamptz NOT NULL,         -- From when it counts, by the owner.
    said_at      timestamptz NOT NULL,         -- When the owner said it.
    again_at     timestamptz NOT NULL,         -- When a list of the owner said the same for the last time.
    action       text NOT NULL CHECK (action IN ('stated', 'updated', 'ended', 'resumed')),
    name         text,
    attributes   jsonb NOT NULL,
    valid_from   date,
    valid_to     date,
    source       text NOT NULL,                -- The number of the telling.
    digest       bytea NOT NULL,
    told_at      timestamptz NOT NULL,         -- When the platform took it in.
    PRIMARY KEY (object, code, facility, effective_at, said_at, digest),
    CHECK (again_at >= effective_at)
);
CREATE INDEX master_version_source ON master_version (source);

CREATE FUNCTION master_versions_stay() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NEW.again_at >= OLD.again_at
           AND to_jsonb(NEW) - 'again_at' = to_jsonb(OLD) - 'again_at' THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'what an owner said is never changed or removed' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER master_version_stays BEFORE UPDATE OR DELETE ON master_version
    FOR EACH ROW EXECUTE FUNCTION master_versions_stay();
CREATE TRIGGER master_versions_stay BEFORE TRUNCATE ON master_version
    FOR EACH STATEMENT EXECUTE FUNCTION master_versions_stay();

-- A complete list that was applied: what it lacks is out of use from then on.
CREATE TABLE master_snapshot (
    object       text NOT NULL,
    facility     text NOT NULL DEFAULT '',
    system       text NOT NULL,
    taken_at     timestamptz NOT NULL,
    records      int NOT NULL,
    source       text NOT NULL,
    told_at      timestamptz NOT NULL,
    PRIMARY KEY (object, facility, system, taken_at)
);

-- Lists that lack much and that a person found right all the same.
CREATE TABLE master_allowed (
    source       text PRIMARY KEY,
    allowed_by   text NOT NULL,
    allowed_at   timestamptz NOT NULL
);

-- Raised with every change: who watches sees in one row whether to look again.
CREATE TABLE master_change (
    only_row     boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    version      bigint NOT NULL DEFAULT 0
);
INSERT INTO master_change DEFAULT VALUES;

-- What was found not to fit, with the work item it became and the match that is proposed.
CREATE TABLE master_mismatch (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    subject      text NOT NULL,                -- The crosswalk, or the object.
    code         text NOT NULL,
    facility     text NOT NULL DEFAULT '',
    target       text NOT NULL DEFAULT '',     -- What it points to now.
    from_day     date NOT NULL,
    why          text NOT NULL,
    proposed     text,
    score        numeric(4, 3),
    reason       text,
    work_item    bigint,
    at_risk_usd  numeric(16, 2) NOT NULL DEFAULT 0,
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'mended', 'accepted')),
    found_at     timestamptz NOT NULL,
    closed_at    timestamptz,
    agreed_by    text,                         -- Who accepted first, where two people have to.
    CHECK ((proposed IS NULL) = (score IS NULL) AND (proposed IS NULL) = (reason IS NULL))
);
CREATE UNIQUE INDEX master_mismatch_open ON master_mismatch (kind, subject, code, facility) WHERE state = 'open';
CREATE INDEX master_mismatch_item ON master_mismatch (work_item);

-- Proposals that a person refused: not made again.
CREATE TABLE master_rejection (
    subject      text NOT NULL,
    code         text NOT NULL,
    facility     text NOT NULL DEFAULT '',
    proposed     text NOT NULL,
    rejected_by  text NOT NULL,
    rejected_at  timestamptz NOT NULL,
    reason       text NOT NULL,
    PRIMARY KEY (subject, code, facility, proposed)
);
