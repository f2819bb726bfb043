"""What tests share: a real Redis, real workers, the stand-in Telegram, and the bot wired as in production."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from pathlib import Path
from types import CoroutineType

import httpx
import hypothesis
import pytest
from pydantic import SecretStr
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from bot.app import open_app
from bot.local.redis_server import is_live
from bot.local.telegram import STAND_IN_TOKEN, StandIn, serve
from bot.settings import BotSettings
from tasks.jobs.store import JobStore
from tasks.resources import open_redis
from tests.person import GROUP, JUNHO, MINA, SOFIA, Person
from tests.s3_server import S3Server
from tests.web_server import WebServer

# The same examples each time: what is found by chance once belongs into a test of its own.
hypothesis.settings.register_profile("same", derandomize=True, database=None, deadline=None)
hypothesis.settings.load_profile("same")

ROOT = Path(__file__).parent.parent
STARTED = 30.0
STOPPED = 30.0


StartWorker = Callable[..., AbstractContextManager[subprocess.Popen[bytes]]]


def environment_without_settings() -> dict[str, str]:
    """This process's environment without any setting of ours but three: nobody asks MangaDex, nobody waits for a budget, and
    web APIs find a free port."""
    ours = {name.upper() for name in BotSettings.model_fields}
    others = {name: value for name, value in os.environ.items() if name.upper() not in ours}
    return {**others, "MANGADEX_API_URL": "", "SOURCE_RATE_LIMIT": "1000", "API_PORT": "0"}


def on_database(settings: BotSettings, number: int) -> BotSettings:
    """The same installation with another database of its Redis: 0 is that of the worker `main`, nobody listens at 2."""
    broker = f"redis+socket://{settings.redis_socket}?virtual_host={number}"
    return settings.model_copy(update={"celery_broker_url": SecretStr(broker)})


class ProcessFailed(AssertionError):
    """A process did not come up; the text has what it said."""


@contextmanager
def process(
    words: list[str], environment: Mapping[str, str], log: Path, ready: Callable[[str], bool]
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a Python module until the block ends; `ready` looks at what it has said so far."""
    with log.open("ab") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", *words], cwd=ROOT, env=dict(environment), stdout=output, stderr=output
        )
    try:
        deadline = time.monotonic() + STARTED
        while not ready(log.read_text(errors="replace")):
            if running.poll() is not None or time.monotonic() > deadline:
                raise ProcessFailed(f"{words} said:\n{log.read_text(errors='replace')}")
            time.sleep(0.05)
        yield running
    finally:
        if running.poll() is None:
            running.send_signal(signal.SIGTERM)
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


@asynccontextmanager
async def beside(
    running: "AbstractContextManager[subprocess.Popen[bytes]]",
) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """A process that needs this event loop to come up, as it talks to a server in it."""
    started = await asyncio.to_thread(running.__enter__)
    try:
        yield started
    finally:
        await asyncio.to_thread(running.__exit__, None, None, None)


def children(pid: int) -> list[int]:
    """The process's children, such as those of a worker that do its jobs."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@asynccontextmanager
async def running_bot(settings: BotSettings) -> AsyncIterator[str]:
    """The bot in a task of its own, as a test's fixtures begin and end in different ones; the address of its web API."""
    up, stop = asyncio.Event(), asyncio.Event()
    address = ""

    async def serve_until_stopped() -> None:
        nonlocal address
        async with open_app(settings) as address:
            up.set()
            await stop.wait()

    running = asyncio.create_task(serve_until_stopped())
    waiting = asyncio.create_task(up.wait())
    await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED)
    try:
        if up.is_set():
            yield address
    finally:
        stop.set()
        waiting.cancel()
        await asyncio.wait({running}, timeout=STOPPED)
        if not running.done():
            raise ProcessFailed("the bot does not stop; its tasks:\n" + "\n".join(map(_where, asyncio.all_tasks())))
        await running


def _where(task: asyncio.Task[object]) -> str:
    """A task, and the coroutines it waits in."""
    lines = [task.get_name()]
    coroutine: object = task.get_coro()
    while isinstance(coroutine, CoroutineType) and coroutine.cr_frame:
        lines.append(f"    {coroutine.cr_code.co_qualname}, line {coroutine.cr_frame.f_lineno}")
        coroutine = coroutine.cr_await
    return "\n".join([*lines, f"    {coroutine!r}"])


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="session")
def clean_environment() -> dict[str, str]:
    """The environment without any setting of ours, so that nobody's own settings decide a test."""
    return environment_without_settings()


@pytest.fixture(scope="session")
def source_server() -> Iterator[WebServer]:
    """A web server that answers as told, in the place of a Consumet API and of image hosts."""
    with WebServer() as server:
        yield server


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="session")
def session_settings(data_dir: Path, clean_environment: dict[str, str]) -> Iterator[BotSettings]:
    """Settings of one installation with a real embedded Redis, alive as long as the tests run."""
    settings = BotSettings(_env_file=None, data_dir=data_dir, mangadex_api_url="", source_rate_limit=1000, api_port=0)
    environment = {**clean_environment, "DATA_DIR": str(data_dir)}
    with process(["bot.local.redis_server"], environment, data_dir / "redis.log", lambda _: is_live(settings)):
        yield settings


@pytest.fixture
def settings(session_settings: BotSettings) -> BotSettings:
    """The same settings with an empty memory."""
    for database in (0, 1, 2):
        with Redis(unix_socket_path=str(session_settings.redis_socket), db=database) as redis:
            # Not flushed: what workers that run now told of their queues is in there as well.
            for key in redis.scan_iter("manhwa:*", count=1000):
                redis.delete(key)
            for key in redis.scan_iter("LIMITS*manhwa*", count=1000):
                redis.delete(key)
            redis.delete("downloads", "cleanup")
    for folder in ("jobs", "chapters"):
        shutil.rmtree(session_settings.data_dir / folder, ignore_errors=True)
    return session_settings


@pytest.fixture
async def redis(settings: BotSettings) -> AsyncIterator[AsyncRedis]:
    """The memory itself."""
    async with open_redis(settings.redis_url) as client:
        yield client


@pytest.fixture
def store(redis: AsyncRedis) -> JobStore:
    return JobStore(redis)


@pytest.fixture(scope="session")
def start_worker(session_settings: BotSettings, clean_environment: dict[str, str]) -> StartWorker:
    """Starts a worker process for both queues; further settings by their names in capitals."""

    def start(name: str, **more: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
        environment = {**clean_environment, "DATA_DIR": str(session_settings.data_dir), **more}
        words = [
            "celery",
            "-A",
            "tasks",
            "worker",
            "-Q",
            "downloads,cleanup",
            "-c",
            "2",
            "-n",
            f"{name}@%h",
            "-l",
            "INFO",
        ]
        log = session_settings.data_path / f"worker-{name}-{time.monotonic_ns()}.log"
        return process(words, environment, log, lambda said: " ready." in said)

    return start


@pytest.fixture(scope="session")
def worker(start_worker: StartWorker) -> Iterator[subprocess.Popen[bytes]]:
    """A real worker process on the demo library."""
    with start_worker("main") as running:
        yield running


@pytest.fixture
async def telegram() -> AsyncIterator[StandIn]:
    async with serve() as stand_in:
        yield stand_in


@pytest.fixture
def bot_settings(settings: BotSettings, telegram: StandIn) -> BotSettings:
    return settings.model_copy(
        update={"telegram_bot_token": SecretStr(STAND_IN_TOKEN), "telegram_api_url": telegram.url}
    )


@pytest.fixture
async def bot(bot_settings: BotSettings) -> AsyncIterator[BotSettings]:
    """The bot as production wires it, talking to the stand-in."""
    async with running_bot(bot_settings):
        yield bot_settings


@pytest.fixture
async def api(bot_settings: BotSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A program that speaks to the web API of a bot as production wires it."""
    async with running_bot(bot_settings) as address, httpx.AsyncClient(base_url=address, timeout=40.0) as client:
        yield client


@pytest.fixture
async def mina(telegram: StandIn) -> AsyncIterator[Person]:
    """Mina in her private chat with the bot."""
    async with Person(telegram.url, MINA) as person:
        yield person


@pytest.fixture
async def junho(telegram: StandIn) -> AsyncIterator[Person]:
    """Junho in his private chat with the bot."""
    async with Person(telegram.url, JUNHO) as person:
        yield person


@pytest.fixture
async def junho_in_group(telegram: StandIn) -> AsyncIterator[Person]:
    """Junho, a member of the group, in its topic for requests."""
    async with Person(telegram.url, JUNHO, chat=GROUP, thread=2) as person:
        yield person


@pytest.fixture
async def sofia_in_group(telegram: StandIn) -> AsyncIterator[Person]:
    async with Person(telegram.url, SOFIA, chat=GROUP, thread=2) as person:
        yield person


@pytest.fixture
async def mina_in_group(telegram: StandIn) -> AsyncIterator[Person]:
    """Mina, who created the group."""
    async with Person(telegram.url, MINA, chat=GROUP, thread=2) as person:
        yield person
