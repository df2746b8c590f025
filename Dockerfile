# Everything in one container, for Hugging Face Spaces and the like: what `lectern up` runs on one machine. For a
# machine of your own, docker-compose.yml is the better choice. docs/spaces.md says how to run this one.
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY requirements/bootstrap.txt requirements/
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m venv /uv && /uv/bin/pip install --quiet --require-hashes -r requirements/bootstrap.txt
COPY requirements/runtime.txt requirements/
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip /venv \
    && /uv/bin/uv pip sync --quiet --python /venv/bin/python --require-hashes requirements/runtime.txt \
    # numpy ships its own tests, 17 MB of them.
    && find /venv -type d -name tests -path '*/numpy/*' -prune -exec rm -r {} +
COPY . .
RUN /uv/bin/uv pip install --quiet --python /uv/bin/python --no-deps --no-build-isolation --target /app . \
    && sed -i '1s|.*|#!/venv/bin/python|' /app/bin/lectern \
    && rm /app/.lock

FROM ${PYTHON} AS git
# Of git only what fetching over HTTP(S) needs: most of the package is Perl, other commands, and other transports.
RUN find -L /usr/lib -name '*.so*' >/had \
    && apt-get update -qq && apt-get install -y -qq --no-install-recommends git >/dev/null \
    && install -D -t /git/usr/bin /usr/bin/git \
    && install -D -t /git/usr/lib/git-core /usr/lib/git-core/git-remote-http \
    && ln -s git-remote-http /git/usr/lib/git-core/git-remote-https \
    && ln -s /usr/bin/git /git/usr/lib/git-core/git \
    && ldd /usr/bin/git /usr/lib/git-core/git-remote-http | grep -o '/[^ :]*' | sort -u | while read -r library; do \
        path=$(readlink -f "$(dirname "$library")")/$(basename "$library"); \
        grep -qxF "$path" /had || install -D "$library" "/git$path"; done

FROM ${PYTHON}
LABEL org.opencontainers.image.title="lectern" \
      org.opencontainers.image.description="Lectern in one container: API, worker, Flower, Valkey and Qdrant's engine" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --uid 1000 --no-create-home --home-dir /tmp lectern \
    && install -d -o 1000 -g 1000 /data /content
# The data folder may be a disk that the host mounts; where it is not, the index is made again at each start.
ENV PATH=/app/bin:/venv/bin:$PATH PYTHONPATH=/app PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    CONTENT_ROOT=/content LECTERN_HOME=/data/lectern
WORKDIR /app
COPY --from=git /git /
COPY --from=build /venv /venv
COPY --from=build /app /app
# Your site's Markdown: put it into docs/, or mount it here.
COPY docs /content
USER 1000:1000
EXPOSE 7860
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --start-interval=1s \
    CMD ["python", "-m", "api.healthcheck"]
CMD ["lectern", "up", "--host", "0.0.0.0", "--port", "7860"]
