# The service: one image for every role; `docker-compose.yml` names the role. The tree is installed in
# place, because kafka/topics.toml and configs/ are read from it. By its digest the base stays what it
# is: docs/operations.md says how to take another.
ARG BASE_IMAGE=python:3.11-slim-bookworm@sha256:a36c24f9cbdf4fd0f52d67f0823eeac19c2028c637cecc392d97f980d4fec56b
FROM ${BASE_IMAGE}

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first: they change less often than the code, and this layer is the slow one. Every file
# that is installed has a hash in the lock (`make lock`).
COPY requirements.lock ./
RUN pip install --require-hashes -r requirements.lock

# With EXTRA=gpu, the extra replaces the two packages that bring the same modules for the processor
# alone; all else stays as locked. Its own packages are not: some lie on NVIDIA's index only.
ARG EXTRA=
COPY pyproject.toml ./
RUN if [ "$EXTRA" = gpu ]; then \
    pip uninstall --yes onnxruntime faiss-cpu \
    && pip freeze > /tmp/locked.txt \
    && python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['gpu'], sep='\n')" > /tmp/gpu.txt \
    && pip install --constraint /tmp/locked.txt -r /tmp/gpu.txt; fi

COPY README.md ./
COPY models ./models
COPY stream ./stream
COPY kafka ./kafka
COPY configs ./configs
RUN pip install --no-deps --no-build-isolation -e . \
    && useradd --system --uid 10001 --no-create-home samesource \
    && install -d -o samesource -g samesource /var/lib/samesource /var/lib/samesource/snapshots \
        /var/lib/samesource/workers /var/lib/samesource/console /var/lib/samesource/asked

USER samesource
WORKDIR /var/lib/samesource
ENTRYPOINT ["samesource"]
CMD ["--help"]
