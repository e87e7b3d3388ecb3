# One image for every part of Regulars that is not Postgres. It holds no setting and no secret.
FROM python:3.11.14-slim-trixie AS packages
RUN pip install --no-cache-dir uv==0.13.9
COPY requirements.txt /tmp/requirements.txt
# Compiled now, because a container that compiles at every start answers its first command seconds later.
RUN uv venv /opt/venv \
    && uv pip install --python /opt/venv/bin/python --no-cache --no-build --compile-bytecode \
        --requirement /tmp/requirements.txt

FROM python:3.11.14-slim-trixie
# The folders are made here so that fresh volumes mounted over them belong to the user.
RUN groupadd --gid 50000 regulars \
    && useradd --uid 50000 --gid regulars --create-home regulars \
    && install --directory --owner regulars --group regulars \
        /home/regulars/airflow /home/regulars/airflow/logs /var/lib/regulars/storage
COPY --from=packages /opt/venv /opt/venv
# Threads of a training that wait for each other give their core to other tasks instead of spinning on it.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/opt/regulars:/opt/regulars/plugins \
    PYTHONUNBUFFERED=1 \
    AIRFLOW_HOME=/home/regulars/airflow \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/regulars/dags \
    AIRFLOW__CORE__PLUGINS_FOLDER=/opt/regulars/plugins \
    AIRFLOW__CORE__LOAD_EXAMPLES=False \
    GX_ANALYTICS_ENABLED=false \
    OMP_WAIT_POLICY=passive
WORKDIR /opt/regulars
COPY include include
COPY plugins plugins
COPY dags dags
COPY deploy deploy
# The charts' script is put together here once, because that takes seconds.
RUN python -m compileall -q /opt/regulars && python -m dashboard.vega
USER 50000:50000
