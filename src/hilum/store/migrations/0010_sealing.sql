-- Protected data at rest: data keys (wrapped only), tokens in place of protected search keys.
SET search_path = hilum, public;

-- A data key seals values of one class of data in one period. The key that wraps it never comes into the database.
-- The row of a destroyed key stays, without the key, to say by which decision.
CREATE TABLE data_key (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    data_class   text NOT NULL,
    period       date NOT NULL,           -- the first day (UTC) of what it seals; 1970-01-01 for keys without a period
    ends         date,                    -- the first day after; NULL for keys without a period
    generation   int NOT NULL,
    wrapped      bytea,                   -- NULL once destroyed
    wrapped_by   text NOT NULL,           -- the key-encryption key
    reserved     bigint NOT NULL DEFAULT 0, -- how many values processes were allowed to seal: below 2^32 (SP 800-38D, 8.3)
    made_at      timestamptz NOT NULL,
    retired_at   timestamptz,             -- seals nothing new since
    destroyed_at timestamptz,
    certificate  text,
    UNIQUE (data_class, period, generation),
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL)),
    CHECK (reserved < 4294967296)
);

-- Of a protected kind (account, MRN) value holds the token, and sealed what it stands for.
ALTER TABLE business_key ADD COLUMN sealed bytea;

-- How far what earlier releases stored has been sealed: one row for each kind of thing, gone through once.
CREATE TABLE sealing_progress (
    part         text PRIMARY KEY,
    rows_sealed  bigint NOT NULL DEFAULT 0,
    done_at      timestamptz
);

-- As before, with the sealed value of a search key.
DROP FUNCTION accept_batch;
CREATE FUNCTION accept_batch(
    p_shard int, p_fence bigint, p_message_seq bigint, p_event_seq bigint, p_audit_shard int,
    m_seq bigint[], m_at timestamptz[], m_system text[], m_transport text[], m_peer text[], m_type text[],
    m_control text[], m_status text[], m_error text[], m_copy_of text[], m_digest bytea[], m_raw bytea[],
    e_seq bigint[], e_at timestamptz[], e_type text[], e_version smallint[], e_key text[], e_facility text[],
    e_message bigint[], e_mapping text[], e_copy_of text[], e_payload bytea[],
    f_identity bytea[], f_event bigint[], f_agreed bytea[],
    k_value text[], k_kind text[], k_subject text[], k_at timestamptz[], k_sealed bytea[],
    a_subject text[], a_entry bytea[],
    p_at timestamptz
) RETURNS void LANGUAGE plpgsql SET search_path = hilum, public AS $$
DECLARE
    n bigint;
    first_audit bigint;
BEGIN
    -- Only the process that holds the shard's latest fence may write it: a predecessor that was thought dead cannot.
    UPDATE intake_shard SET message_seq = p_message_seq, event_seq = p_event_seq
     WHERE shard = p_shard AND fence = p_fence AND message_seq <= p_message_seq;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'hilum: shard % was taken over by another process', p_shard USING ERRCODE = 'HL001';
    END IF;
    IF cardinality(f_identity) > 0 THEN
        INSERT INTO fact (identity, shard, event_seq, agreed, at)
        SELECT u.i, p_shard, u.e, u.a, p_at FROM unnest(f_identity, f_event, f_agreed) AS u(i, e, a)
        ON CONFLICT (identity) DO NOTHING;
        GET DIAGNOSTICS n = ROW_COUNT;
        IF n < cardinality(f_identity) THEN
            RAISE EXCEPTION 'hilum: known facts' USING ERRCODE = 'HL002';
        END IF;
    END IF;
    INSERT INTO message (shard, seq, received_at, system, transport, peer, type, control_id, status, error, copy_of, digest, raw)
    SELECT p_shard, * FROM unnest(m_seq, m_at, m_system, m_transport, m_peer, m_type, m_control, m_status, m_error, m_copy_of, m_digest, m_raw);
    IF cardinality(e_seq) > 0 THEN
        INSERT INTO event (shard, seq, at, type, version, key, facility, message_seq, mapping, copy_of, payload)
        SELECT p_shard, * FROM unnest(e_seq, e_at, e_type, e_version, e_key, e_facility, e_message, e_mapping, e_copy_of, e_payload);
    END IF;
    IF cardinality(k_value) > 0 THEN
        INSERT INTO business_key (value, kind, subject, at, sealed) SELECT * FROM unnest(k_value, k_kind, k_subject, k_at, k_sealed);
    END IF;
    n := cardinality(a_entry);
    UPDATE audit_shard SET next_seq = next_seq + n WHERE shard = p_audit_shard RETURNING next_seq - n INTO first_audit;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'hilum: audit shard % does not exist', p_audit_shard USING ERRCODE = 'HL003';
    END IF;
    INSERT INTO audit_entry (shard, seq, subject, entry)
    SELECT p_audit_shard, first_audit + u.o - 1, u.s, u.e FROM unnest(a_subject, a_entry) WITH ORDINALITY AS u(s, e, o);
    IF cardinality(e_seq) > 0 THEN
        -- One notification for the batch: a notification for each message would serialise commits.
        PERFORM pg_notify('hilum_events', p_shard::text);
    END IF;
END $$;
