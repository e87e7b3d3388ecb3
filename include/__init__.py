"""The platform itself. Nothing below this folder imports Airflow."""
