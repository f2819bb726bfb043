"""What processes say: a line for each record, with what it is about, and never a secret."""

import asyncio
import io
import json
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tasks.logs import Redactor, about, begin, secrets_of, set_up
from tasks.setting_values import Catalog
from tests.conftest import ROOT, StartWorker, beside, on_database, running_bot
from tests.person import Person

TOKEN = "123456789:AAHunter2Hunter2Hunter2Hunter2Hunter2"  # noqa: S105 - nobody's
SETTINGS = BotSettings(
    _env_file=None,
    telegram_bot_token=SecretStr(TOKEN),
    celery_broker_url=SecretStr("rediss://app:p%40ss%2Fword@redis.example:6380/0"),
    opds_catalogs=(
        Catalog("home", SecretStr("https://mina:opds-hunter2@books.example/opds/v1.2/catalog")),
        Catalog("kavita", SecretStr("https://kavita.example/api/opds/0f8fad5b-d9cb-469f-a165-70867728950e")),
    ),
    mangadex_client_id="client",
    mangadex_client_secret=SecretStr("client-hunter2"),
    mangadex_username="mina",
    mangadex_password=SecretStr("mangadex-hunter2"),
)
SECRET = re.compile(r"hunter2|p@ss|p%40ss|0f8fad5b", re.IGNORECASE)


@pytest.fixture
def _as_before() -> Iterator[None]:
    root, hook = logging.getLogger(), sys.excepthook
    before, level = list(root.handlers), root.level
    root.handlers = []
    yield
    root.handlers, sys.excepthook = before, hook
    root.setLevel(level)
    logging.captureWarnings(capture=False)
    begin()


def _handler() -> Any:
    """The one that writes lines; the others are pytest's."""
    return logging.getLogger().handlers[0]


@pytest.fixture(params=["text", "json"])
def lines(request: pytest.FixtureRequest, _as_before: None) -> Any:
    """What was said, a dict for each line where it is JSON."""
    set_up("bot", SETTINGS.model_copy(update={"log_format": request.param}))
    stream = io.StringIO()
    _handler().setStream(stream)

    def read() -> list[Any]:
        said = stream.getvalue()
        assert said.isascii() or request.param == "text"
        return [json.loads(line) if request.param == "json" else line for line in said.splitlines()]

    return read


def test_a_line_says_what_it_is_about(lines: Any) -> None:
    begin(job="a1", chat=-7)
    with about(source="mangadex"):
        logging.getLogger("x.y").warning("page %s is slow", 7)
    logging.getLogger("x.y").info("on")
    first, second = lines()
    if isinstance(first, dict):
        told = {"message": "page 7 is slow", "level": "WARNING", "logger": "x.y", "process": "bot"}
        about_it = {"job": "a1", "chat": -7, "source": "mangadex"}
        assert first == {**told, **about_it, "time": first["time"]}
        assert "source" not in second
    else:
        assert first.endswith(" WARNING bot x.y: page 7 is slow job=a1 chat=-7 source=mangadex")
        assert second.endswith(" INFO bot x.y: on job=a1 chat=-7")


def test_whatever_is_said_is_one_line(lines: Any) -> None:
    log = logging.getLogger("x")
    log.info("title: %s", "two\nlines\r\x1b[31mred\x9b\u202eback 만화")
    log.error("it broke", exc_info=ValueError("a\nb"))
    first, second = lines()
    if isinstance(first, dict):
        assert first["message"] == "title: two\nlines\r\x1b[31mred\x9b\u202eback 만화"
        assert second["exception"].endswith("ValueError: a\nb")
    else:
        assert first.endswith(r"title: two\nlines\r\x1b[31mred\x9b\u202eback 만화")
        assert second.endswith(r"ValueError: a\nb")


def test_no_secret_is_said(lines: Any) -> None:
    log = logging.getLogger("aiohttp.client")
    values = (
        SETTINGS.broker_url,
        "p@ss/word",
        TOKEN,
        f"https://api.telegram.org/bot{TOKEN}/getMe",
        SETTINGS.opds_catalogs[0].address.get_secret_value(),
        SETTINGS.opds_catalogs[1].address.get_secret_value() + "/series/1",
        "client-hunter2 mangadex-hunter2",
        "https://nobody:elses-hunter2@example.org/",
        "bot99:anotherHunter2Token",
    )
    for value in values:
        log.warning("asked %s", value)
        log.error("failed for %s", {"address": value}, exc_info=OSError(f"no answer of {value}"))
    said = lines()
    assert len(said) == 2 * len(values)
    assert [line for line in said if SECRET.search(str(line))] == []


def test_a_record_that_can_not_be_written_does_not_show_its_arguments(
    lines: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    _handler().handle(logging.LogRecord("x", logging.INFO, __file__, 1, "%d", (TOKEN,), None))
    said = capsys.readouterr().err
    assert "test_logs.py" in said
    assert not SECRET.search(said)


def test_passwords_of_master_and_sentinels_are_known_wherever_they_stand() -> None:
    address = (
        "sentinel://one;sentinel://app:to%40master@two/0;sentinel://three?sentinel_password=to%40watch&master_name=ours"
    )
    hide = Redactor(secrets_of(SETTINGS.model_copy(update={"celery_broker_url": SecretStr(address)}))).hide
    told = hide(f"asked {address} with to@master, to%40master, to@watch and to%40watch of ours")
    assert "to@" not in told
    assert "to%40" not in told
    assert told.endswith("with ***, ***, *** and *** of ours")


def test_every_secret_setting_is_known() -> None:
    """A field that is added later as well."""

    class Later(BotSettings):
        storage_key: SecretStr = SecretStr("storage-hunter2")

    known = secrets_of(Later(_env_file=None))
    assert "storage-hunter2" in known
    assert Redactor(known).hide("key storage-hunter2!") == "key ***!"
    assert Redactor({""}).hide("nothing to hide") == "nothing to hide"


async def _said_by(words: list[str], environment: dict[str, str], until: str) -> str:
    """What that process says until it says so, or ends."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = ""
    assert process.stdout
    async with asyncio.timeout(60):
        while until not in said and (line := await process.stdout.readline()):
            said += line.decode()
    if process.returncode is None:
        process.kill()
    await process.wait()
    return said


async def test_processes_in_trouble_tell_no_secret(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    """Redis that is not there, behind a password; Celery's banner; Telegram that is not reached."""
    trouble = {
        **clean_environment,
        "DATA_DIR": str(tmp_path),
        "CELERY_BROKER_URL": "redis://app:broker-hunter2@127.0.0.1:1/0",
        "CELERY_RESULT_BACKEND": "redis://app:backend-hunter2@127.0.0.1:1/0",
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_API_URL": "http://127.0.0.1:1",
        "OPDS_CATALOGS": "home=http://mina:opds-hunter2@127.0.0.1:1/opds",
        "LOG_LEVEL": "DEBUG",
    }
    bot, worker = await asyncio.gather(
        _said_by(["bot"], trouble, "waiting for Redis"),
        _said_by(["celery", "-A", "tasks", "worker", "-Q", "downloads", "-c", "1"], trouble, "Redis is not reached"),
    )
    assert "waiting for Redis" in bot
    assert "Redis is not reached" in worker
    assert "transport" in worker
    assert not SECRET.search(bot + worker)


async def test_a_bot_that_does_not_reach_telegram_keeps_its_token(
    bot_settings: BotSettings, clean_environment: dict[str, str]
) -> None:
    environment = {
        **clean_environment,
        "CELERY_BROKER_URL": bot_settings.broker_url,
        "TELEGRAM_BOT_TOKEN": TOKEN,
        "TELEGRAM_API_URL": "http://127.0.0.1:1",
        "LOG_LEVEL": "DEBUG",
        "LOG_FORMAT": "json",
    }
    said = await _said_by(["bot"], environment, "waiting for Telegram")
    assert "waiting for Telegram" in said
    assert not SECRET.search(said)
    assert {json.loads(line)["process"] for line in said.splitlines()} == {"bot"}


async def test_a_job_can_be_followed_through_the_logs(
    mina: Person, bot_settings: BotSettings, start_worker: StartWorker
) -> None:
    settings = on_database(bot_settings, 1)  # where no other worker takes it

    def said() -> list[dict[str, Any]]:
        text = "".join(path.read_text() for path in settings.data_path.glob("worker-json-*.log"))
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    worker = start_worker("json", LOG_FORMAT="json", CELERY_BROKER_URL=settings.broker_url)
    async with beside(worker), running_bot(settings):
        await mina.sends("/download demo lantern-1")
        await mina.receives_document()
        await mina.sees("Done")
    lines = [line for line in said() if line["logger"] == "tasks.pipeline"]
    assert [line["message"] for line in lines] == ["attempt 1 starts", "ready, 6 pages"]
    assert {line["source"] for line in lines} == {"demo"}
    assert len({line["job"] for line in lines}) == 1
    ended = [line for line in said() if "succeeded" in line["message"] and line["logger"] == "celery.app.trace"]
    assert lines[0]["job"] in {line.get("job") for line in ended}


def test_nobody_writes_past_us() -> None:
    script = (
        "import stamina, stamina.instrumentation as told\n"
        "from tasks.logs import set_up\nfrom tasks.settings import TaskSettings\n"
        "set_up('x', TaskSettings(_env_file=None, log_format='json'))\nassert told.get_on_retry_hooks() == ()\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True)


def test_the_level_that_celery_is_told_goes_first(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    def level(*words: str, **more: str) -> int:
        script = (
            "import sys; from celery.signals import worker_init\n"
            "@worker_init.connect\n"
            "def tell(**_):\n    import logging; print(logging.getLogger().level); sys.stdout.flush(); import os; os._exit(0)\n"
            "from celery.__main__ import main\nmain()"
        )
        environment = {**clean_environment, "DATA_DIR": str(tmp_path), **more}
        command = [sys.executable, "-c", script, "-q", "-A", "tasks", "worker", *words]
        return int(
            subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True, text=True).stdout
        )

    assert level() == logging.INFO
    assert level(LOG_LEVEL="ERROR") == logging.ERROR
    assert level("-l", "DEBUG", LOG_LEVEL="ERROR") == logging.DEBUG
