-- People, programs and what they were given: accounts, sessions, codes, refresh tokens, signing keys, revocations.
-- Whatever opens a door (links, codes, cookies, refresh tokens) is stored as its SHA-256 only, passwords as scrypt
-- with their parameters; private keys are never here.
SET search_path = hilum, public;

CREATE TABLE account (
    id              text PRIMARY KEY CHECK (id ~ '^[a-z][a-z0-9._-]{1,62}$'),
    name            text NOT NULL DEFAULT '',
    roles           text[] NOT NULL DEFAULT '{}',
    facilities      text[] NOT NULL DEFAULT '{}',
    supplier        text,
    department      text,
    password        text,                      -- scrypt$n$r$p$salt$hash; NULL until the person has set one.
    state           text NOT NULL DEFAULT 'invited' CHECK (state IN ('invited', 'active', 'disabled')),
    created_by      text NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    password_set_at timestamptz
);

CREATE TABLE one_time_link (
    secret     bytea PRIMARY KEY,              -- SHA-256 of what the link holds.
    account    text NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    purpose    text NOT NULL CHECK (purpose IN ('invite', 'reset')),
    created_by text NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX one_time_link_account ON one_time_link (account);

-- A browser that has signed in at the embedded issuer. Its id travels as `sid` in tokens; the cookie is another secret.
CREATE TABLE issuer_session (
    id           text PRIMARY KEY,
    cookie       bytea NOT NULL UNIQUE,
    account      text NOT NULL REFERENCES account (id) ON DELETE CASCADE,
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz
);
CREATE INDEX issuer_session_account ON issuer_session (account) WHERE ended_at IS NULL;

-- The platform's own programs for people announce where they are reached; others stand in the estate.
CREATE TABLE identity_place (
    name       text PRIMARY KEY,               -- issuer, tower
    url        text NOT NULL,
    updated_at timestamptz NOT NULL
);

CREATE TABLE authorization_code (
    code         bytea PRIMARY KEY,
    client       text NOT NULL,
    session      text NOT NULL REFERENCES issuer_session (id) ON DELETE CASCADE,
    redirect_uri text NOT NULL,
    challenge    text NOT NULL,                -- PKCE, S256.
    nonce        text,
    scope        text NOT NULL,
    audience     text[] NOT NULL,
    issued_at    timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    used_at      timestamptz
);

-- One family is what grew from one code: a refresh token that is presented twice ends all of it.
CREATE TABLE refresh_token (
    token      bytea PRIMARY KEY,
    family     bytea NOT NULL,
    client     text NOT NULL,
    session    text NOT NULL REFERENCES issuer_session (id) ON DELETE CASCADE,
    scope      text NOT NULL,
    audience   text[] NOT NULL,
    issued_at  timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    used_at    timestamptz,
    revoked_at timestamptz
);
CREATE INDEX refresh_token_family ON refresh_token (family);

CREATE TABLE signing_key (
    kid            text PRIMARY KEY,
    public_jwk     jsonb NOT NULL,
    signs_from     timestamptz NOT NULL,       -- Published before it signs, so that everyone has fetched it by then.
    signs_until    timestamptz NOT NULL,
    verifies_until timestamptz NOT NULL        -- Its last token has died by then.
);

-- RFC 7523 section 3: an assertion is good once, in all processes.
CREATE TABLE assertion_seen (
    service    text NOT NULL,
    jti        bytea NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (service, jti)
);

CREATE TABLE identity_revocation (
    subject    text PRIMARY KEY,               -- session:<sid>, person:<id>, service:<name>
    at         timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    revoked_by text NOT NULL,
    reason     text NOT NULL
);
CREATE TABLE identity_version (
    one     boolean PRIMARY KEY DEFAULT true CHECK (one),
    version bigint NOT NULL DEFAULT 0
);
INSERT INTO identity_version DEFAULT VALUES;

-- Attempts to sign in, counted over all processes. `counted` is a digest: what was typed as a login may be a password.
CREATE TABLE sign_in_throttle (
    counted    bytea PRIMARY KEY,
    tokens     double precision NOT NULL,
    updated_at timestamptz NOT NULL
);

-- A sign-in at the page that is under way at the issuer, bound to the browser that began it. Nonce and PKCE verifier
-- are derived from the browser's cookie, so they are not here.
CREATE TABLE page_sign_in (
    state      bytea PRIMARY KEY,
    browser    bytea NOT NULL,
    issuer     text NOT NULL,
    return_to  text NOT NULL,
    expires_at timestamptz NOT NULL
);

-- Who is signed in at the page.
CREATE TABLE page_session (
    cookie       bytea PRIMARY KEY,
    issuer       text NOT NULL,
    person       text NOT NULL,
    name         text NOT NULL DEFAULT '',
    roles        text[] NOT NULL,
    facilities   text[] NOT NULL,
    supplier     text,
    department   text,
    sid          text NOT NULL DEFAULT '',
    created_at   timestamptz NOT NULL,
    last_seen_at timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL
);
CREATE INDEX page_session_sid ON page_session (sid) WHERE sid <> '';
CREATE INDEX page_session_person ON page_session (person);
