# The dataflow and the app in one image. Another base may be given: it needs Python 3.11 or 3.12 and glibc.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE}

WORKDIR /srv/ad-streams
COPY requirements.lock ./
RUN python3 -m venv /opt/venv && /opt/venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
# Compiled for any processor of the architecture: where the image runs need not be where it was built.
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 NUMBA_CPU_NAME=generic NUMBA_CACHE_DIR=/srv/compiled
RUN useradd --create-home --uid 10001 adstreams && mkdir /data /srv/compiled && chown adstreams /data /srv/compiled

COPY . .
USER adstreams
# Compile now rather than at every start: short runs of the simulator, the page and a log.
RUN mkdir /tmp/warm && export ADSTREAMS_SQLITE_PATH=/tmp/warm/adstreams.db \
 && ADSTREAMS_SIMULATOR_EVENTS=2000 ADSTREAMS_SIMULATOR_RATE=0 python -m bytewax.run dataflow \
 && python -c 'from viz.shared import shared; shared()' \
 && python -m jobs grade --once \
 && python -m jobs simulate --to /tmp/warm/log.parquet --events 2000 \
 && ADSTREAMS_SOURCE=file ADSTREAMS_FILE=/tmp/warm/log.parquet python -m bytewax.run dataflow \
 && python -c 'from stores.cassandra.row_encoding import compile_now; compile_now()' \
 && rm -r /tmp/warm

ENV ADSTREAMS_SQLITE_PATH=/data/adstreams.db
VOLUME /data
EXPOSE 5006
HEALTHCHECK --start-period=30s --interval=30s --timeout=5s \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:5006/api/health', timeout=4)"]
# SIGTERM drains, saves and ends with 0.
CMD ["python", "-m", "jobs", "run", "--recovery", "/data/recovery", "--address", "0.0.0.0"]
