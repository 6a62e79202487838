# The service: one image for every role; `docker-compose.yml` names the role. The tree is installed in
# place, because kafka/topics.toml and configs/ are read from it.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /app

# Dependencies first: they change less often than the code, and this layer is the slow one. With EXTRA=gpu,
# the extra replaces the two packages that bring the same modules for the processor alone.
ARG EXTRA=
COPY pyproject.toml ./
RUN python -c "import sys, tomllib; project = tomllib.load(open('pyproject.toml', 'rb'))['project']; gpu = 'gpu' in sys.argv; print(*[d for d in project['dependencies'] if not (gpu and d.startswith(('onnxruntime', 'faiss-cpu')))], *(project['optional-dependencies']['gpu'] if gpu else []), sep='\n')" $EXTRA > /tmp/requirements.txt \
    && pip install -r /tmp/requirements.txt

COPY README.md ./
COPY models ./models
COPY stream ./stream
COPY kafka ./kafka
COPY configs ./configs
RUN pip install --no-deps -e . \
    && useradd --system --uid 10001 --no-create-home samesource \
    && install -d -o samesource -g samesource /var/lib/samesource /var/lib/samesource/snapshots

USER samesource
WORKDIR /var/lib/samesource
ENTRYPOINT ["samesource"]
CMD ["--help"]
