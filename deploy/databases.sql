-- Two roles and the database that each of them owns: Airflow's metadata and the warehouse.
-- Run by psql as superuser at every start; changes nothing that is already as wanted, and sets the passwords anew,
-- so that a changed password takes effect at the next start.
\getenv airflow_password AIRFLOW_DATABASE_PASSWORD
\getenv warehouse_password WAREHOUSE_PASSWORD

-- The passwords also stand inside a URL and a JSON document, where other characters would mean something.
SELECT set_config(
    'regulars.passwords_fit',
    (:'airflow_password' ~ '^[A-Za-z0-9_-]+$' AND :'warehouse_password' ~ '^[A-Za-z0-9_-]+$')::text,
    false
) \g /dev/null
DO $$
BEGIN
    IF NOT current_setting('regulars.passwords_fit')::boolean THEN
        RAISE EXCEPTION 'AIRFLOW_DATABASE_PASSWORD or WAREHOUSE_PASSWORD holds a character other than letters, digits, _ and -. Nothing was changed. Set both in .env, for example to the output of: openssl rand -hex 24';
    END IF;
END
$$;

SELECT 'CREATE ROLE airflow LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'airflow') \gexec
SELECT 'CREATE ROLE warehouse LOGIN'
WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'warehouse') \gexec
ALTER ROLE airflow PASSWORD :'airflow_password';
ALTER ROLE warehouse PASSWORD :'warehouse_password';

SELECT 'CREATE DATABASE airflow OWNER airflow'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'airflow') \gexec
SELECT 'CREATE DATABASE warehouse OWNER warehouse'
WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'warehouse') \gexec
REVOKE ALL ON DATABASE airflow FROM PUBLIC;
REVOKE ALL ON DATABASE warehouse FROM PUBLIC;
