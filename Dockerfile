# One image for every service: `trackway` is its entry point. Settings come from the environment, or from a trackway.yml
# mounted somewhere and named by TRACKWAY_CONFIG. The image itself knows no source and no key.
FROM python:3.11.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/trackway
COPY requirements.lock ./
RUN /opt/trackway/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md ./
COPY eventlog eventlog
COPY collector collector
COPY exporter exporter
COPY trackway trackway
COPY static/dist static/dist
COPY static/console.css static/console.js static/
RUN /opt/trackway/bin/pip wheel --no-cache-dir --no-deps --wheel-dir dist . \
 && /opt/trackway/bin/pip install --no-cache-dir --no-deps dist/*.whl

FROM python:3.11.13-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home trackway \
 && install --directory --owner trackway --mode 0700 /var/lib/trackway
COPY --from=build /opt/trackway /opt/trackway
# Inside a container a service listens on all addresses; which of its ports are reached from outside is said at its start.
ENV PATH=/opt/trackway/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TRACKWAY_DATA=/var/lib/trackway \
    TRACKWAY_LISTEN=0.0.0.0:8080
WORKDIR /var/lib/trackway
USER trackway
ENTRYPOINT ["trackway"]
CMD ["--help"]
