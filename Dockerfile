# syntax=docker/dockerfile:1
# One image for every role: sidecar, emulated engine, operator. ROLES picks whose dependencies it carries:
#   docker build -t REGISTRY/presage .                               all that runs in pods
#   docker build -t REGISTRY/presage-sidecar --build-arg ROLES=router .
ARG PYTHON=3.13

FROM python:${PYTHON}-slim AS build
RUN pip install --no-cache-dir "uv>=0.9,<1"
ENV UV_CACHE_DIR=/cache \
    UV_COMPILE_BYTECODE=1 \
    UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/presage
WORKDIR /source
ARG ROLES="router engine operator"
# Dependencies first: this layer is made anew only when the lock file changes.
COPY pyproject.toml uv.lock ./
RUN --mount=type=cache,target=/cache \
    uv sync --frozen --no-dev --no-install-project $(printf -- '--extra %s ' ${ROLES})
COPY README.md LICENSE NOTICE ./
COPY crds crds
COPY predictors predictors
COPY policies policies
COPY operator operator
COPY router router
COPY simulator simulator
COPY sandbox sandbox
COPY cli cli
RUN --mount=type=cache,target=/cache \
    uv sync --frozen --no-dev --no-editable $(printf -- '--extra %s ' ${ROLES})

FROM python:${PYTHON}-slim
LABEL org.opencontainers.image.title="presage" \
      org.opencontainers.image.description="Serves large language models on Kubernetes ahead of demand" \
      org.opencontainers.image.licenses="Apache-2.0"
# Nothing is written at run time: the root file system may be read-only.
ENV PATH=/opt/presage/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
COPY --from=build /opt/presage /opt/presage
USER 65532:65532
ENTRYPOINT ["presage"]
