# One image for every service: `trackway` is its entry point.
FROM python:3.13.7-slim-bookworm AS build
WORKDIR /app
COPY requirements.lock ./
RUN python -m venv /app/.venv && /app/.venv/bin/pip install --no-cache-dir --require-hashes -r requirements.lock
COPY pyproject.toml README.md ./
COPY eventlog eventlog
COPY collector collector
COPY exporter exporter
COPY trackway trackway
COPY static static
RUN /app/.venv/bin/pip install --no-cache-dir hatchling==1.27.0 \
 && /app/.venv/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
 && /app/.venv/bin/pip uninstall --yes hatchling

FROM python:3.13.7-slim-bookworm
RUN useradd --system --uid 10001 trackway && mkdir -p /var/lib/trackway /etc/trackway && chown trackway /var/lib/trackway
COPY --from=build /app/.venv /app/.venv
COPY examples/trackway.yml /etc/trackway/trackway.yml
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /var/lib/trackway
USER trackway
VOLUME /var/lib/trackway
ENTRYPOINT ["trackway"]
CMD ["up"]
