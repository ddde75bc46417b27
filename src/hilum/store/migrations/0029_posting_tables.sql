-- The posting tables as they were when something was staged by them: the rule a posting names can be read for as long as the posting.
SET search_path = hilum, public;

CREATE TABLE posting_tables (
    digest      bytea PRIMARY KEY,             -- As posting_source.tables has it.
    texts       jsonb NOT NULL,                -- File name to its text.
    first_used  timestamptz NOT NULL
);
CREATE TRIGGER posting_tables_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON posting_tables
    FOR EACH STATEMENT EXECUTE FUNCTION staged_entries_stay();

-- By the case that staged a source: evidence begins at the case.
CREATE INDEX posting_source_case ON posting_source (regexp_replace(staged_by, '/[^/]*$', ''));
