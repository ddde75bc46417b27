-- Policies in force, broken glass, and approvals: who let what happen, and who looked at it afterwards.
SET search_path = hilum, public;

-- Every set of policies this platform ever ran with, whole: a decision's audit entry names its digest.
CREATE TABLE policy_version (
    digest        text PRIMARY KEY CHECK (digest ~ '^sha256:[0-9a-f]{64}$'),
    files         jsonb NOT NULL,              -- File name to text.
    first_seen_at timestamptz NOT NULL
);
-- One row: the version in force, so that its change is noticed whoever starts first.
CREATE TABLE policy_in_force (
    one    boolean PRIMARY KEY DEFAULT true CHECK (one),
    digest text NOT NULL REFERENCES policy_version,
    since  timestamptz NOT NULL
);

-- Grants of access beyond one's policies: asked for with a reason, limited in time and place, reviewed by somebody else.
CREATE TABLE break_glass (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    person       text NOT NULL CHECK (person LIKE 'person:%'),
    reason       text NOT NULL CHECK (btrim(reason) <> ''),
    purpose      text NOT NULL,
    facility     text NOT NULL CHECK (facility <> ''),
    resource     text,                         -- A type of resource; NULL for every type.
    told         text CHECK (told <> person),  -- The second person who was told by name.
    work_item    bigint REFERENCES work_item,
    granted_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > granted_at),
    ended_at     timestamptz,
    ended_by     text,
    uses         bigint NOT NULL DEFAULT 0,
    last_used_at timestamptz,
    reviewed_at  timestamptz,
    reviewed_by  text CHECK (reviewed_by <> person),
    justified    boolean,
    finding      text,
    CHECK ((reviewed_at IS NULL) = (reviewed_by IS NULL)),
    CHECK ((reviewed_at IS NULL) = (justified IS NULL)),
    CHECK (reviewed_at IS NULL OR btrim(finding) <> '')
);
CREATE INDEX break_glass_person ON break_glass (person, expires_at) WHERE ended_at IS NULL;
CREATE INDEX break_glass_unreviewed ON break_glass (granted_at) WHERE reviewed_at IS NULL;

-- What waits for another person's approval, and what was decided.
CREATE TABLE approval (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,                -- policy, api, invoice ...
    subject      text NOT NULL,                -- The address of what is approved.
    digest       text NOT NULL,                -- Of the payload: what was changed since is not what was approved.
    requested_by text NOT NULL,
    authors      text[] NOT NULL,              -- Who made it or asked for it, owners of programs included: none of them decides.
    attributes   jsonb NOT NULL DEFAULT '{}',  -- What the policies look at: facility, amount_usd ...
    quorum       int NOT NULL DEFAULT 1 CHECK (quorum BETWEEN 1 AND 9),
    state        text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'withdrawn', 'expired')),
    requested_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL CHECK (expires_at > requested_at),
    decided_at   timestamptz
);
CREATE UNIQUE INDEX approval_open ON approval (kind, subject) WHERE state = 'open';
CREATE INDEX approval_subject ON approval (kind, subject, id);
CREATE TABLE approval_decision (
    approval   bigint NOT NULL REFERENCES approval,
    decided_by text NOT NULL,
    approves   boolean NOT NULL,
    reason     text NOT NULL DEFAULT '',
    at         timestamptz NOT NULL,
    PRIMARY KEY (approval, decided_by)         -- One person, one voice.
);
