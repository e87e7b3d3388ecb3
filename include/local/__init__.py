"""The embedded stack behind `make demo` and `make up`: Postgres, the sandbox and Airflow as local processes."""
