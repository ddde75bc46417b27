-- Who acted besides the name that is shown: at the terminal one login can name several people and is one person all the same.
-- Each column holds everyone behind a caller, as Names.behind_caller gives them; empty of what is older than this.
SET search_path = hilum, public;

ALTER TABLE approval_decision ADD COLUMN behind text[] NOT NULL DEFAULT '{}';
ALTER TABLE break_glass ADD COLUMN behind text[] NOT NULL DEFAULT '{}';
ALTER TABLE legal_hold ADD COLUMN lift_asked_behind text[] NOT NULL DEFAULT '{}';

-- Public keys by which services prove themselves, registered by whoever owns them: the private halves were never here.
CREATE TABLE service_key (
    service       text NOT NULL,
    kid           text NOT NULL,               -- RFC 7638 thumbprint.
    public_jwk    jsonb NOT NULL,
    registered_by text NOT NULL,
    behind        text[] NOT NULL,             -- Who may hold the private half: they act when the service does.
    registered_at timestamptz NOT NULL,
    ended_at      timestamptz,
    ended_by      text,
    PRIMARY KEY (service, kid),
    CHECK ((ended_at IS NULL) = (ended_by IS NULL))
);
CREATE INDEX service_key_in_force ON service_key (service) WHERE ended_at IS NULL;
