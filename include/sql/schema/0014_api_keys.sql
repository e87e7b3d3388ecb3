-- The keys of the API's callers.

CREATE SCHEMA serving;

CREATE TABLE serving.api_keys (
    key_id text PRIMARY KEY CHECK (key_id ~ '^[0-9a-f]{12}$'),
    name text NOT NULL CHECK (name ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$'),  -- noqa: RF04
    secret_digest bytea NOT NULL CHECK (octet_length(secret_digest) = 32),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0),
    requests_per_second double precision NOT NULL CHECK (requests_per_second > 0),
    burst integer NOT NULL CHECK (burst > 0),
    created_at timestamptz NOT NULL,
    revoked_at timestamptz
);
CREATE UNIQUE INDEX api_keys_name_in_use ON serving.api_keys (name) WHERE revoked_at IS NULL;
COMMENT ON TABLE serving.api_keys IS
'One row per key that a caller of the API was ever given. Rows stay when a key is revoked.';
COMMENT ON COLUMN serving.api_keys.key_id IS 'The part of the key that is no secret: the one it is looked up by.';
COMMENT ON COLUMN serving.api_keys.name IS
'Who calls with it; logs show it. Of the keys in use no two have one name.';
COMMENT ON COLUMN serving.api_keys.secret_digest IS
'SHA-256 of the secret part, which has 256 random bits: nobody can try them all, so nothing slower is needed.';
COMMENT ON COLUMN serving.api_keys.scopes IS 'What it may read, such as churn:read.';
COMMENT ON COLUMN serving.api_keys.requests_per_second IS
'How many requests a second it may make in the long run, of each process that serves.';
COMMENT ON COLUMN serving.api_keys.burst IS 'How many requests it may make at once after a pause.';
COMMENT ON COLUMN serving.api_keys.revoked_at IS 'From when on it no longer counts; null while it does.';
