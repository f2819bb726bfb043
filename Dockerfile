# Stages: `app` (the last, so the default) has bot and workers, `flower` has Flower as well.
FROM python:3.13.14-slim-bookworm AS packages
WORKDIR /build
COPY requirements.txt .
# The pip that stands outside fills an environment without one.
RUN python -m venv --without-pip /venv \
    && pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM packages AS flower-packages
COPY pyproject.toml .
# The group pins its version.
# hadolint ignore=DL3013
RUN pip --python /venv/bin/python install --no-cache-dir --disable-pip-version-check --group flower

FROM python:3.13.14-slim-bookworm AS base
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data
# A new named volume takes over this folder's owner.
RUN useradd --uid 10001 --user-group --no-create-home manhwa && install -d -o manhwa -g manhwa -m 700 /data
WORKDIR /app
COPY . .
# The user can't write here, and at run time nobody can.
RUN python -m compileall -q bot tasks
USER 10001:10001
VOLUME /data

FROM base AS flower
COPY --from=flower-packages /venv /venv
CMD ["celery", "-A", "tasks", "flower", "--conf=tasks/flowerconfig.py"]

FROM base AS app
COPY --from=packages /venv /venv
CMD ["python", "-m", "bot"]
