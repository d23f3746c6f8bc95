# Brain CNN, served by gunicorn as a user without rights.
#
#   docker build -t brain-cnn .                                   ONNX Runtime (default)
#   docker build -t brain-cnn:tf --build-arg ENGINE=tensorflow .  loads the .keras instead
#   docker run --rm -p 8000:8000 --read-only --tmpfs /tmp brain-cnn
#
# podman and buildah keep the HEALTHCHECK only with --format docker.

ARG BASE=python:3.12-slim

FROM ${BASE} AS build
ARG ENGINE=onnx
WORKDIR /build
COPY requirements-serve.lock requirements-dev.lock ./
RUN python3 -m venv /opt/venv \
 && /opt/venv/bin/pip install --no-cache-dir --requirement requirements-serve.lock \
 && if [ "$ENGINE" = tensorflow ]; then \
      /opt/venv/bin/pip install --no-cache-dir --constraint requirements-dev.lock tensorflow keras; \
    fi \
 && /opt/venv/bin/pip uninstall --yes pip \
 && find /opt/venv -name __pycache__ -prune -exec rm -rf {} +

FROM ${BASE}
ARG ENGINE=onnx
LABEL org.opencontainers.image.title="Brain CNN" \
      org.opencontainers.image.description="Brain MRI slice to tumour class, confidence and Grad-CAM; research and education only" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin brain
COPY --from=build /opt/venv /opt/venv
WORKDIR /app
COPY app.py gunicorn.conf.py LICENSE NOTICE ./
COPY brain_cnn brain_cnn
COPY templates templates
COPY static static
COPY models/brain_cnn models/brain_cnn
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRAIN_CNN_BIND=0.0.0.0:8000 \
    BRAIN_CNN_ENGINE=${ENGINE}
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["gunicorn", "--config", "gunicorn.conf.py"]
