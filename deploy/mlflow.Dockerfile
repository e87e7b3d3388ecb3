# The model registry's server. MLflow's own image has no driver for Postgres; this one has that and nothing else.
FROM python:3.11.14-slim-trixie
RUN pip install --no-cache-dir mlflow==3.17.2 "psycopg[binary]==3.3.9"
RUN groupadd --gid 50000 regulars \
    && useradd --uid 50000 --gid regulars --create-home regulars \
    && install --directory --owner regulars --group regulars /var/lib/mlflow
WORKDIR /opt/mlflow
COPY health.py deploy/health.py
ENV PYTHONUNBUFFERED=1
USER 50000:50000
