-- Certificates that are watched: our own, the authorities we verify by, and those that systems present to us.
SET search_path = hilum, public;

CREATE TABLE certificate (
    slot         text PRIMARY KEY,        -- own:tower, authority:ehr/mllp:CN=..., peer:erp:erp.example, sender:ehr/mllp:CN=...
    role         text NOT NULL,           -- own, authority, peer, sender
    subject      text NOT NULL,
    issuer       text NOT NULL,
    sha256       text NOT NULL,
    not_before   timestamptz NOT NULL,
    not_after    timestamptz NOT NULL,
    seen_at      timestamptz NOT NULL
);
