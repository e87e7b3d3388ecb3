"""Airflow's side of the platform: windows, connections, task wrappers, retries. No business logic."""
