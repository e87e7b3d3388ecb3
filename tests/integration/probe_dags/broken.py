"""A DAG file that cannot be imported."""

from airflow.sdk import dag

raise RuntimeError(f"on purpose, before any {dag.__name__}")
