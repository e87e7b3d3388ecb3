-- Models live in the model registry; the warehouse keeps an index of them for SQL.

ALTER TABLE ml.models
ALTER COLUMN artefact DROP NOT NULL,
ADD COLUMN registry_version text,
DROP CONSTRAINT models_status_check,
ADD CONSTRAINT models_status_check
CHECK (status IN ('trained', 'evaluated', 'champion', 'refused', 'retired', 'rolled_back'));

COMMENT ON TABLE ml.models IS
'One row per model, named by the digest of its training set and libraries; the model itself is in the registry.';
COMMENT ON COLUMN ml.models.registry_version IS
'The number of the version in MLflow; null for models from before there was a registry.';
COMMENT ON COLUMN ml.models.artefact IS 'Only of models from before there was a registry; nothing reads it any more.';
COMMENT ON COLUMN ml.models.artefact_digest IS 'SHA-256 of the artefact in the registry, in hexadecimal.';
COMMENT ON TABLE ml.aliases IS
'One row per name for a model in use, such as churn_champion, as it was when the index last followed the registry.';
