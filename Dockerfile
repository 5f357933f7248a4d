# The dataflow and the app in one image. Another base may be given: it needs Python 3.11 or 3.12 and glibc.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

WORKDIR /srv/ad-streams
COPY requirements.lock ./
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1

COPY dataflow.py settings.py ./
COPY schemas schemas
COPY model model
COPY simulator simulator
COPY steps steps
COPY stores stores
COPY jobs jobs
COPY viz viz

RUN useradd --create-home --uid 10001 adstreams && mkdir /data /srv/compiled && chown adstreams /data /srv/compiled
USER adstreams
# Compile now rather than at every start: a short simulated run touches every compiled function.
ENV NUMBA_CACHE_DIR=/srv/compiled
RUN ADSTREAMS_SIMULATOR_EVENTS=2000 ADSTREAMS_SIMULATOR_RATE=0 ADSTREAMS_SQLITE_PATH=/tmp/warm.db \
      python -m bytewax.run dataflow && rm -f /tmp/warm.db*

VOLUME /data
ENV ADSTREAMS_SQLITE_PATH=/data/adstreams.db
EXPOSE 5006
# SIGTERM drains, saves and ends with 0.
CMD ["python", "-m", "jobs", "run", "--recovery", "/data/recovery", "--address", "0.0.0.0"]
