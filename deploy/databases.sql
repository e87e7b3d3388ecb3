-- Three roles and the database that each of them owns: Airflow's metadata, the warehouse and the model registry; and
-- the role of the API, which may enter the warehouse. What it may read there, the warehouse's migrations say.
-- Run by psql as superuser at every start; changes nothing that is already as wanted, and sets the passwords anew,
-- so that a changed password takes effect at the next start.
\getenv airflow_password AIRFLOW_DATABASE_PASSWORD
\getenv warehouse_password WAREHOUSE_PASSWORD
\getenv mlflow_password MLFLOW_DATABASE_PASSWORD
\getenv api_password API_DATABASE_PASSWORD

-- The passwords also stand inside a URL and a JSON document, where other characters would mean something.
SELECT set_config(
    'regulars.passwords_fit',
    (
        :'airflow_password' ~ '^[A-Za-z0-9_-]+$'
        AND :'warehouse_password' ~ '^[A-Za-z0-9_-]+$'
        AND :'mlflow_password' ~ '^[A-Za-z0-9_-]+$'
        AND :'api_password' ~ '^[A-Za-z0-9_-]+$'
    )::text,
    false
) \g /dev/null
DO $$
BEGIN
    IF NOT current_setting('regulars.passwords_fit')::boolean THEN
        RAISE EXCEPTION 'AIRFLOW_DATABASE_PASSWORD, WAREHOUSE_PASSWORD, MLFLOW_DATABASE_PASSWORD or API_DATABASE_PASSWORD holds a character other than letters, digits, _ and -. Nothing was changed. Set all four in .env, for example to the output of: openssl rand -hex 24';
    END IF;
END
$$;

SELECT 'CREATE ROLE airflow LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow') \gexec
SELECT 'CREATE ROLE warehouse LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warehouse') \gexec
SELECT 'CREATE ROLE mlflow LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'mlflow') \gexec
SELECT 'CREATE ROLE warehouse_api LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warehouse_api') \gexec
ALTER ROLE airflow PASSWORD :'airflow_password';
ALTER ROLE warehouse PASSWORD :'warehouse_password';
ALTER ROLE mlflow PASSWORD :'mlflow_password';
ALTER ROLE warehouse_api PASSWORD :'api_password';

SELECT 'CREATE DATABASE airflow OWNER airflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow') \gexec
SELECT 'CREATE DATABASE warehouse OWNER warehouse'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'warehouse') \gexec
SELECT 'CREATE DATABASE mlflow OWNER mlflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'mlflow') \gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
REVOKE ALL ON DATABASE mlflow FROM PUBLIC;
GRANT CONNECT ON DATABASE warehouse TO warehouse_api;
