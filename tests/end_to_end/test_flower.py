"""Flower, as an operator uses it: the right states and figures, behind a password, and nothing that changes a job."""

import signal
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from bot.local.redis_server import is_live
from bot.settings import BotSettings
from tests.conftest import process
from tests.end_to_end.shelf import Shelf
from tests.person import PATIENCE, NotSeen, Person

USER, PASSWORD = "olga", "only-to:look"


TABLE = (
    "/tasks/datatable?draw=1&start=0&length=15&order%5B0%5D%5Bcolumn%5D=0&columns%5B0%5D%5Bdata%5D=name"
    "&order%5B0%5D%5Bdir%5D=asc"
)
"""What the page of all tasks asks for."""


def newest_job(settings: BotSettings) -> str:
    return max((settings.data_path / "jobs").iterdir(), key=lambda folder: folder.stat().st_mtime).name


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Onlooker:
    """Somebody with the password."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self.http = http

    async def sees(self, path: str, *texts: str) -> None:
        """Wait until that page has all these texts."""
        page = ""
        deadline = time.monotonic() + PATIENCE
        while not all(text in page for text in texts):
            if time.monotonic() > deadline:
                raise NotSeen(f"{texts} were not seen in:\n{page}")
            page = (await self.http.get(path)).text


@pytest.fixture(scope="class")
def flower_address(
    consumet_worker: None, consumet: dict[str, str], session_settings: BotSettings, clean_environment: dict[str, str]
) -> Iterator[str]:
    port = free_port()
    more = {"FLOWER_BASIC_AUTH": f"{USER}:{PASSWORD}", "FLOWER_PORT": str(port)}
    words = ["celery", "-A", "tasks", "flower", "--conf=tasks/flowerconfig.py"]
    folder = session_settings.data_path
    of_worker = max(folder.glob("worker-consumet-*.log"), key=lambda file: file.stat().st_mtime)

    def is_told_of_tasks(_: str) -> bool:
        return "Events of group {task} enabled" in of_worker.read_text()

    with process(words, {**clean_environment, **consumet, **more}, folder / f"flower-{port}.log", is_told_of_tasks):
        yield f"http://127.0.0.1:{port}"


@pytest.fixture
async def flower(flower_address: str) -> AsyncIterator[Onlooker]:
    async with httpx.AsyncClient(base_url=flower_address, auth=(USER, PASSWORD)) as http:
        yield Onlooker(http)


@pytest.mark.parametrize("told", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_at_once_though_redis_is_gone(
    clean_environment: dict[str, str], tmp_path: Path, told: signal.Signals
) -> None:
    settings = BotSettings(_env_file=None, data_dir=tmp_path)
    environment = {**clean_environment, "DATA_DIR": str(tmp_path), "FLOWER_PORT": str(free_port())}
    words = ["celery", "-A", "tasks", "flower", "--conf=tasks/flowerconfig.py"]
    log = tmp_path / "flower.log"
    with ExitStack() as stack:
        redis = process(["bot.local.redis_server"], environment, tmp_path / "redis.log", lambda _: is_live(settings))
        server = stack.enter_context(redis)
        flower = stack.enter_context(process(words, environment, log, lambda said: "Connected to" in said))
        server.terminate()
        server.wait()
        time.sleep(8)  # its threads try to reach it every few seconds
        flower.send_signal(told)
        flower.wait(10)


@pytest.mark.usefixtures("consumet_bot")
class TestFlower:
    async def test_it_shows_progress_and_every_end(
        self, flower: Onlooker, mina: Person, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await mina.sends(shelf.command(1, 2))
        await mina.sees("pages 3/4")
        cancelled = newest_job(consumet_settings)
        await flower.sees(f"/task/{cancelled}", "PROGRESS", "status downloading, progress 75, total_chapters 2")
        await mina.presses("Cancel")
        await flower.sees(f"/task/{cancelled}", "REVOKED")
        await flower.sees(f"/api/task/info/{cancelled}", '"state": "REVOKED"')
        let_go.set()
        await mina.sends(shelf.command(2))
        await mina.receives_document()
        await flower.sees(TABLE, "SUCCESS", "status ready, progress 100, total_chapters 1")
        shelf.lists(3)
        await mina.sends(shelf.command(3))
        await mina.sees("Failed")
        await flower.sees(TABLE, "FAILURE", "REVOKED", "SUCCESS")

    async def test_it_only_looks(
        self, flower: Onlooker, mina: Person, shelf: Shelf, consumet_settings: BotSettings
    ) -> None:
        let_go = shelf.holds_back(1, 2)
        await mina.sends(shelf.command(1))
        await mina.sees("pages 1/2")
        job = newest_job(consumet_settings)
        for order in (f"task/revoke/{job}?terminate=true", f"task/abort/{job}", "task/async-apply/tasks.sweep"):
            assert (await flower.http.post(f"/api/{order}")).status_code == 403
        worker = next(iter((await flower.http.get("/api/workers")).json()))
        for order in ("shutdown", "pool/shrink", "pool/restart"):
            assert (await flower.http.post(f"/api/worker/{order}/{worker}")).status_code == 403
        assert "Terminate" not in (await flower.http.get(f"/task/{job}")).text
        let_go.set()
        await mina.receives_document()

    async def test_nobody_sees_anything_without_the_password(self, flower: Onlooker) -> None:
        for path in ("/", "/tasks", "/broker", TABLE, "/api/tasks", "/api/workers"):
            assert (await flower.http.get(path)).status_code == 200
            assert (await flower.http.get(path, auth=(USER, "guess"))).status_code == 401
            assert (await flower.http.get(path, auth=httpx.Auth())).status_code == 401
        assert (await flower.http.get("/metrics")).status_code == 404
        assert PASSWORD not in (await flower.http.get("/workers")).text
