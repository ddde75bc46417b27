-- Why a person looks at the page: chosen by them and kept with their session. An emergency is never chosen: it is granted.
SET search_path = hilum, public;

ALTER TABLE page_session ADD COLUMN purpose text NOT NULL DEFAULT 'operations'
    CHECK (purpose IN ('treatment', 'payment', 'operations', 'audit'));
