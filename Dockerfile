FROM python:3.12.12-slim-bookworm AS packages
COPY requirements.txt .
RUN python -m venv /venv && /venv/bin/pip install --no-cache-dir --disable-pip-version-check -r requirements.txt

FROM python:3.12.12-slim-bookworm
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data
# A new named volume takes over this folder's owner.
RUN useradd --uid 10001 --no-create-home manhwa && install -d -o manhwa -m 700 /data
COPY --from=packages /venv /venv
WORKDIR /app
COPY . .
USER manhwa
VOLUME /data
CMD ["python", "-m", "bot"]
