# The service in an image of its own. See docs/deploy.md, also for running it without Docker.

FROM python:3.13-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/synaptide
COPY pyproject.toml README.md LICENSE ./
COPY learners learners
COPY service service
COPY benchmarks benchmarks
RUN /opt/synaptide/bin/pip install --no-cache-dir --disable-pip-version-check .

FROM python:3.13-slim-bookworm
RUN useradd --system --uid 10001 --user-group --no-create-home --home-dir /data synaptide \
    && install --directory --owner=synaptide --group=synaptide /data /var/cache/synaptide
COPY --from=build /opt/synaptide /opt/synaptide

# Compiled learners are kept where the service may write: numba refuses a cache that it cannot
# write to, and on a processor unlike the one that built the image they are compiled once more.
ENV PATH=/opt/synaptide/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    NUMBA_CACHE_DIR=/var/cache/synaptide \
    SYNAPTIDE_DATA_DIR=/data \
    SYNAPTIDE_HOST=0.0.0.0
USER synaptide
RUN synaptide warm
# A new volume begins with what the image has in its place, so the cache comes along.
VOLUME ["/data", "/var/cache/synaptide"]

# The service has no authentication, so it refuses to be reached by others until whoever runs the
# image says SYNAPTIDE_INSECURE=true, and publishes the port on a loopback address only.
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/livez', timeout=4)"]
ENTRYPOINT ["synaptide"]
CMD ["serve"]
