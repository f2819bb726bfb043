"""Settings: every one explained in `.env.example`, every wrong one refused in one line."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from bot.settings import BotSettings
from tasks import redis_address
from tasks.settings import READ_BY_OTHERS, WRONG_SETTING, FlowerSettings, SettingsError, TaskSettings, load

ROOT = Path(__file__).parent.parent
SETTING = re.compile(r"^#([A-Z_]+)=(.*)$", re.MULTILINE)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment and a folder without settings."""
    for name in {**BotSettings.model_fields, **FlowerSettings.model_fields}:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def env_file(text: str) -> None:
    Path(".env").write_text(text)


def test_the_example_has_every_setting_with_its_default() -> None:
    example = SETTING.findall((ROOT / ".env.example").read_text())
    ours = {name.upper() for name in {**BotSettings.model_fields, **FlowerSettings.model_fields}}
    assert sorted(name for name, _ in example) == sorted(ours | READ_BY_OTHERS)
    env_file("\n".join(f"{name}={value}" for name, value in example))
    assert load(BotSettings) == BotSettings(_env_file=None)
    assert load(FlowerSettings) == FlowerSettings(_env_file=None)


def test_the_readme_names_every_setting() -> None:
    readme = (ROOT / "README.md").read_text()
    ours = {name.upper() for name in {**BotSettings.model_fields, **FlowerSettings.model_fields}}
    assert sorted(name for name in ours if f"`{name}`" not in readme) == []


def test_copying_the_example_sets_nothing() -> None:
    text = (ROOT / ".env.example").read_text()
    assert all(line.startswith("#") for line in text.splitlines() if line)


def test_the_environment_goes_before_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    env_file("DOWNLOAD_CONCURRENCY=3\nMAX_CHAPTERS_PER_JOB=7")
    monkeypatch.setenv("DOWNLOAD_CONCURRENCY", "4")
    settings = load(TaskSettings)
    assert (settings.download_concurrency, settings.max_chapters_per_job) == (4, 7)


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("ALLOWED_CHATS", "@mina", "integer"),
        ("ADMINS", "1 two", "integer"),
        ("CELERY_BROKER_URL", "foo", "redis://host"),
        ("CELERY_BROKER_URL", "http://host", "redis://host"),
        ("CELERY_BROKER_URL", "redis://", "redis://host"),
        ("CELERY_BROKER_URL", "redis://host:port", "redis://host"),
        ("CELERY_BROKER_URL", "unix://", "redis+socket:///path"),
        ("CELERY_RESULT_BACKEND", "amqp://host", "redis://host"),
        ("CELERY_BROKER_URL", "redis://one;redis://other", "only sentinel://"),
        ("CELERY_BROKER_URL", "sentinel://one;redis://other", "only sentinel://"),
        ("CELERY_BROKER_URL", "redis://host/zero", "such as /0"),
        ("CELERY_BROKER_URL", "redis://host?ssl_cert_reqs=none", "option"),
        ("CELERY_BROKER_URL", "sentinel://host?master=one", "master_name"),
        ("CELERY_BROKER_URL", "rediss://host?ssl_cert_reqs=perhaps", "required, optional and none"),
        ("CELERY_BROKER_URL", "rediss://host?ssl_ca_certs=/nowhere.pem", "ssl_ca_certs"),
        ("MANGAPI_URL", "consumet.local:3000", "https://"),
        ("MANGAPI_URL", "http://", "https://"),
        ("MANGAPI_URL", "http://host:99999", "https://"),
        ("MANGAPI_URL", "ftp://host", "https://"),
        ("TELEGRAM_API_URL", "http://a b", "https://"),
        ("TELEGRAM_API_LOCAL", "perhaps", "boolean"),
        ("CONSUMET_PROVIDERS", "mangahere, nowhere", "mangapill"),
        ("CONSUMET_PROVIDERS", "asurascans:8", "13 to 39"),
        ("CONSUMET_PROVIDERS", "asurascans:13 other:13", "twice"),
        ("CONSUMET_PROVIDERS", "demo:13", "another source"),
        ("DOWNLOAD_CONCURRENCY", "0", "greater than or equal to 1"),
        ("DOWNLOAD_CONCURRENCY", "17", "less than or equal to 16"),
        ("DOWNLOAD_CONCURRENCY", "many", "integer"),
        ("UPLOAD_LIMIT_MB", "2001", "less than or equal to 2000"),
        ("SOURCE_RATE_LIMIT", "0", "greater than or equal to 1"),
        ("OPDS_CATALOGS", "http://host/opds", "name=https://"),
        ("OPDS_CATALOGS", "Home=http://host/opds", "small letters"),
        ("OPDS_CATALOGS", "demo=http://host/opds", "name of its own"),
        ("OPDS_CATALOGS", "a=http://host/1 a=http://host/2", "name of its own"),
        ("STORAGE_URL", "/mnt/files", "s3://bucket"),
        ("STORAGE_URL", "s3://", "s3://bucket"),
        ("STORAGE_URL", "s3:///prefix", "s3://bucket"),
        ("STORAGE_URL", "gs://bucket", "s3://bucket"),
        ("STORAGE_URL", "s3://Bucket_1", "s3://bucket"),
        ("STORAGE_URL", "s3://bucket/../other", "s3://bucket"),
        ("AWS_ENDPOINT_URL", "minio:9000", "https://"),
        ("TASK_SOFT_TIME_LIMIT", "1800", "less than TASK_TIME_LIMIT (1800)"),
        ("WEBHOOK_URL", "bot.example.org/telegram", "https://"),
        ("WEBHOOK_URL", "https://bot.example.org/{token}", "plain letters"),
        ("WEBHOOK_URL", "https://bot.example.org/api/telegram", "none below /api/"),
    ],
)
def test_a_wrong_value_gets_one_line_that_names_it(name: str, value: str, allowed: str) -> None:
    env_file(f"{name}={value}")
    with pytest.raises(SettingsError) as caught:
        load(BotSettings)
    told = str(caught.value)
    assert told.startswith(f"{name} is ")
    assert allowed in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "line",
    [
        "CELERY_BROKER_URL=http://:hunter2@host",
        "CELERY_BROKER_URL=redis://user:6379?hunter2@host",
        "CELERY_BROKER_URL=redis://:a/hunter2@host",
        "CELERY_BROKER_URL=redis://:a#hunter2@host",
        "CELERY_BROKER_URL=sentinel://:a;hunter2@host",
        "CELERY_BROKER_URL=rediss://:hunter2@host?ssl_certfile=/nowhere/hunter2",
        "CELERY_RESULT_BACKEND=sentinel://user:hunter2@host/zero",
        "MANGAPI_URL=ftp://user:hunter2@host",
        "OPDS_CATALOGS=a=http://host b=ftp://user:hunter2@host",
        "OPDS_CATALOGS=a=http://host B=http://host/opds/hunter2",
        "MANGADEX_PASSWORD=hunter2",
        "STORAGE_URL=s3://key:hunter2@bucket",
        "STORAGE_URL=s3://key:a/hunter2@bucket",
        "MANGAPI_URL=http://user:a/hunter2@host",
        "STORAGE_URL=s3://bucket\nAWS_SECRET_ACCESS_KEY=hunter2",
        "WEBHOOK_SECRET=hunter2!",
    ],
)
def test_a_wrong_value_does_not_tell_its_password(line: str) -> None:
    env_file(line)
    with pytest.raises(SettingsError) as caught:
        load(BotSettings)
    assert "hunter2" not in str(caught.value)


def test_a_webhook_needs_a_secret() -> None:
    env_file("WEBHOOK_URL=https://bot.example.org/telegram")
    with pytest.raises(
        SettingsError, match=r"^WEBHOOK_SECRET is empty, but WEBHOOK_URL is set: [^\n]*A-Z, a-z, 0-9[^\n]*$"
    ):
        load(BotSettings)
    env_file("WEBHOOK_URL=https://bot.example.org/telegram\nWEBHOOK_SECRET=a-b_C9")
    assert load(BotSettings).webhook_secret.get_secret_value() == "a-b_C9"


def test_empty_switches_mangadex_off_and_any_other_setting_to_its_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(TaskSettings).mangadex_api_url == "https://api.mangadex.org"
    env_file("MANGADEX_API_URL=\nDOWNLOAD_CONCURRENCY=\nDATA_DIR=")
    settings = load(TaskSettings)
    assert (settings.mangadex_api_url, settings.download_concurrency, settings.data_dir) == ("", 8, Path("data"))


def test_a_misspelt_setting_is_refused_and_others_are_not() -> None:
    env_file("COMPOSE_PROJECT_NAME=x\nHTTPS_PROXY=http://proxy\n")
    load(BotSettings)
    env_file("MANGAPI_ULR=http://host")
    with pytest.raises(SettingsError, match=r"MANGAPI_ULR in \.env is unknown: did you mean MANGAPI_URL"):
        load(BotSettings)


@pytest.mark.parametrize("kind", [BotSettings, FlowerSettings, TaskSettings])
def test_nobody_takes_what_others_read_for_a_misspelling(kind: type[TaskSettings]) -> None:
    ours = {**BotSettings.model_fields, **FlowerSettings.model_fields}
    env_file("\n".join(f"{name.upper()}=" for name in [*ours, *READ_BY_OTHERS]))
    load(kind)


def test_a_misspelt_name_that_only_docker_reads_is_refused() -> None:
    env_file("REDIS_PASWORD=x")
    with pytest.raises(SettingsError, match="did you mean REDIS_PASSWORD"):
        load(TaskSettings)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("FLOWER_BASIC_AUTH=hunter2", "FLOWER_BASIC_AUTH has to be a name and a password"),
        ("FLOWER_BASIC_AUTH=:hunter2", "FLOWER_BASIC_AUTH has to be a name and a password"),
        ("FLOWER_ADDRESS=0.0.0.0", "FLOWER_BASIC_AUTH is empty"),
        ("FLOWER_ADDRESS=flower.example.org", "FLOWER_BASIC_AUTH is empty"),
        ("FLOWER_PORT=0", "FLOWER_PORT is '0'"),
    ],
)
def test_flower_is_never_open_to_others(lines: str, told: str) -> None:
    env_file(lines)
    with pytest.raises(SettingsError, match=told) as caught:
        load(FlowerSettings)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("lines", ["FLOWER_ADDRESS=::1", "FLOWER_ADDRESS=0.0.0.0\nFLOWER_BASIC_AUTH=a:b:c", ""])
def test_flower_runs_with_a_password_or_for_this_machine(lines: str) -> None:
    env_file(lines)
    load(FlowerSettings)


def test_an_env_file_that_is_no_text_is_refused() -> None:
    Path(".env").write_bytes(b"DATA_DIR=\xff\xfe")
    with pytest.raises(SettingsError, match="no UTF-8 text"):
        load(BotSettings)


@pytest.mark.parametrize(("line", "megabytes"), [("", 50), ("TELEGRAM_API_LOCAL=true", 2000), ("UPLOAD_LIMIT_MB=7", 7)])
def test_what_is_sent_stays_below_the_upload_limit(line: str, megabytes: int) -> None:
    env_file(line)
    assert (megabytes - 1) * 1_000_000 <= load(BotSettings).upload_limit < megabytes * 1_000_000


def test_a_data_folder_with_special_characters_has_an_address() -> None:
    folder = "/it's 100%25; a? #1"
    settings = TaskSettings(_env_file=None, data_dir=Path(folder))
    assert settings.broker.path == f"{folder}/redis/redis.sock"
    assert redis_address.parse(settings.result_backend) == settings.broker


def test_a_data_folder_with_a_long_path_gets_a_socket_that_fits() -> None:
    env_file(f"DATA_DIR=/{'long/' * 30}")
    settings = load(TaskSettings)
    assert len(bytes(settings.redis_socket)) <= 100
    assert settings.redis_socket != TaskSettings(_env_file=None, data_dir=Path("/other" * 30)).redis_socket


@pytest.mark.parametrize(
    "words",
    [
        ["bot"],
        ["bot.local"],
        ["bot.local.redis_server"],
        ["celery", "-A", "tasks", "worker"],
        ["celery", "-A", "tasks", "beat"],
    ],
    ids=lambda words: words[-1],
)
def test_a_wrong_value_stops_the_start(words: list[str], clean_environment: dict[str, str], tmp_path: Path) -> None:
    environment = {**clean_environment, "MANGAPI_URL": "foo", "DATA_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        [sys.executable, "-m", *words], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert ended.returncode == WRONG_SETTING
    assert (
        ended.stderr.strip()
        == "Wrong setting: MANGAPI_URL is 'foo': has to be an address such as https://host:port/path"
    )
    assert not ended.stdout


def test_flower_stops_at_a_wrong_value_as_well(clean_environment: dict[str, str], tmp_path: Path) -> None:
    environment = {**clean_environment, "FLOWER_ADDRESS": "0.0.0.0", "DATA_DIR": str(tmp_path)}  # noqa: S104 - refused
    words = [sys.executable, "-m", "celery", "-A", "tasks", "flower", "--conf=tasks/flowerconfig.py"]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == WRONG_SETTING
    assert re.search(r"^Wrong setting: FLOWER_BASIC_AUTH is empty", ended.stderr, re.MULTILINE)
