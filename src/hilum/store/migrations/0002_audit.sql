-- The audit log: entries as they are written, and the Merkle tree over them (decisions/0003-audit-log.md).

-- The next free number of each shard. The row is locked by the writer until its transaction ends, which is what makes
-- a shard's numbers free of gaps and committed in order. The low fill factor keeps its updates inside one page.
CREATE TABLE hilum.audit_shard (
    shard        int PRIMARY KEY,
    next_seq     bigint NOT NULL DEFAULT 1
) WITH (fillfactor = 10);

-- Canonical JSON bytes, exactly as hashed. The subject stands beside them to be found by.
CREATE TABLE hilum.audit_entry (
    shard        int NOT NULL,
    seq          bigint NOT NULL,
    subject      text COLLATE "C" NOT NULL,
    entry        bytea NOT NULL,
    PRIMARY KEY (shard, seq)
) WITH (toast_tuple_target = 8160);
CREATE INDEX audit_entry_subject ON hilum.audit_entry (subject);

-- The order of integration: leaves first_leaf .. first_leaf + count - 1 are these entries of the shard.
CREATE TABLE hilum.audit_range (
    first_leaf   bigint PRIMARY KEY,
    shard        int NOT NULL,
    first_seq    bigint NOT NULL,
    count        int NOT NULL CHECK (count > 0)
);
CREATE UNIQUE INDEX audit_range_shard ON hilum.audit_range (shard, first_seq);

-- Hashes of the tree, 256 of 32 bytes a tile, the last tile of each level partial. Level 0 holds leaf hashes; each
-- hash of level n + 1 is the root over one full tile of level n. A proof reads a few tiles, whatever the tree's size.
CREATE TABLE hilum.audit_tile (
    level        smallint NOT NULL,
    tile         bigint NOT NULL,
    hashes       bytea NOT NULL CHECK (length(hashes) BETWEEN 32 AND 8192 AND length(hashes) % 32 = 0),
    PRIMARY KEY (level, tile)
);
-- Hashes do not compress: trying would only cost time.
ALTER TABLE hilum.audit_tile ALTER COLUMN hashes SET STORAGE EXTERNAL;

-- Signed heads: the root over the first size leaves.
CREATE TABLE hilum.audit_head (
    size         bigint PRIMARY KEY CHECK (size > 0),
    root         bytea NOT NULL CHECK (length(root) = 32),
    at           timestamptz NOT NULL,
    key_id       text NOT NULL,
    signature    bytea NOT NULL
);

-- Against accidents: what was recorded is only ever added to. Whoever may drop this guard meets the tree instead.
CREATE FUNCTION hilum.audit_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: % on hilum.% is refused', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hilum.audit_entry
    FOR EACH STATEMENT EXECUTE FUNCTION hilum.audit_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hilum.audit_range
    FOR EACH STATEMENT EXECUTE FUNCTION hilum.audit_refuse_change();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON hilum.audit_head
    FOR EACH STATEMENT EXECUTE FUNCTION hilum.audit_refuse_change();
