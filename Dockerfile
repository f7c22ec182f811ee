# syntax=docker/dockerfile:1

# Everything that is installed comes from requirements.lock, checked by hash, as a wheel. What is
# only needed for development stays behind in this stage.
FROM python:3.11-slim AS build
WORKDIR /src
COPY requirements.lock .
RUN pip wheel --no-cache-dir --require-hashes -r requirements.lock --wheel-dir /wheels
RUN pip install --no-cache-dir --no-index --find-links=/wheels hatchling
COPY pyproject.toml README.md LICENSE ./
COPY canary canary
RUN pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links=/wheels "canary[local]"

RUN useradd --uid 10001 --create-home canary \
    && install -d -o canary -g canary /canary /var/lib/canary
USER 10001
WORKDIR /canary
ENV CANARY_STATE_DIR=/var/lib/canary \
    PYTHONUNBUFFERED=1
VOLUME /var/lib/canary
EXPOSE 8080

# docker run IMAGE demo
# docker run -v ./examples/local:/canary:ro IMAGE local /canary
ENTRYPOINT ["canary"]
CMD ["--help"]
