# Brain CNN, served by gunicorn as a user without rights.
#
#   docker build -t brain-cnn .                                   ncnn (default)
#   docker build -t brain-cnn:tf --build-arg ENGINE=tensorflow .  loads the .keras instead
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp --cap-drop ALL brain-cnn
#
# BASE is any image with Python 3.11 to 3.13 (glibc) and its venv module; name it with a digest
# where builds must repeat. podman and buildah keep the HEALTHCHECK only with --format docker.
# Without a container engine: scripts/build_image.sh.

ARG BASE=python:3.12-slim

# hadolint ignore=DL3006
FROM ${BASE} AS build
ARG ENGINE=ncnn
WORKDIR /app
COPY requirements-serve.lock requirements-dev.lock /build/
# Wheels only: no compiler is needed, and none is left behind. Constraints may hold no hashes.
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --no-compile --only-binary :all: \
      --requirement /build/requirements-serve.lock \
 && if [ "$ENGINE" = tensorflow ]; then \
      sed -E 's/ *\\$//; /^ +--hash/d' /build/requirements-dev.lock > /build/constraints.txt \
   && /opt/venv/bin/pip install --no-cache-dir --no-compile --only-binary :all: \
        --constraint /build/constraints.txt tensorflow keras; \
    fi \
 && /opt/venv/bin/pip uninstall --yes pip setuptools
COPY app.py gunicorn.conf.py LICENSE NOTICE ./
COPY brain_cnn brain_cnn
COPY templates templates
COPY static static
COPY models/brain_cnn models/brain_cnn
# Compiled here, since the running container cannot write: each start would compile again.
# Not checked against the sources' times, which some builders change.
RUN /opt/venv/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash /app /opt/venv/lib

# hadolint ignore=DL3006
FROM ${BASE}
ARG ENGINE=ncnn
# That of brain_cnn/__init__.py: scripts/build_image.sh reads it there.
ARG VERSION=unknown
LABEL org.opencontainers.image.title="Brain CNN" \
      org.opencontainers.image.description="Brain MRI slice to tumour class, confidence and Grad-CAM; research and education only" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="MIT"
RUN groupadd --gid 10001 brain \
 && useradd --uid 10001 --gid 10001 --no-log-init --no-create-home --home-dir /nonexistent \
      --shell /usr/sbin/nologin brain
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OMP_NUM_THREADS=1 \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    ORT_DISABLE_TELEMETRY=1 \
    BRAIN_CNN_BIND=0.0.0.0:8000 \
    BRAIN_CNN_ENGINE=${ENGINE}
USER 10001:10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["gunicorn", "--config", "gunicorn.conf.py"]
