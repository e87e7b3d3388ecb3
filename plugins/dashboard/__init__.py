"""The pages that Regulars adds to the Airflow UI."""
