# syntax=docker/dockerfile:1
# docker build -t bresnet-stream .
# docker run --rm -p 127.0.0.1:8080:8080 --shm-size 1g bresnet-stream run --host 0.0.0.0 rtsp://camera/stream
# /dev/shm holds the last frames of each camera (about 20 MB each); the usual 64 MB are too few for four of them.

FROM docker.io/library/debian:trixie-slim AS build
# Debian's own security updates are wanted, so its packages are not pinned; Python's are, by constraints.txt.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 python3-venv \
 && rm -rf /var/lib/apt/lists/* \
 && python3 -m venv /opt/bresnet
ENV PIP_CACHE_DIR=/var/cache/pip
WORKDIR /src
# The dependencies are a layer of their own: it stays in the cache as long as these two files do not change.
COPY pyproject.toml constraints.txt ./
RUN --mount=type=cache,target=/var/cache/pip \
    python3 -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > requirements.txt \
 && /opt/bresnet/bin/pip install -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY streamer streamer
COPY model model
COPY pipeline pipeline
RUN --mount=type=cache,target=/var/cache/pip \
    /opt/bresnet/bin/pip install --no-deps . \
 && /opt/bresnet/bin/pip uninstall -y pip

FROM docker.io/library/debian:trixie-slim
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates python3 \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --system --gid 65532 bresnet \
 && useradd --system --uid 65532 --gid 65532 --home-dir /var/lib/bresnet --create-home bresnet
COPY --from=build /opt/bresnet /opt/bresnet
COPY configs /usr/share/bresnet/configs
ENV PATH=/opt/bresnet/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    BRESNET_LIVEZ=http://127.0.0.1:8080/livez
WORKDIR /var/lib/bresnet
USER 65532:65532
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(os.environ['BRESNET_LIVEZ'], timeout=2)"]
ENTRYPOINT ["bresnet"]
CMD ["run", "--config", "/usr/share/bresnet/configs/demo.yaml", "--json"]
