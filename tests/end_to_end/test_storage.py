"""Workers and the bot on disks of their own, with nothing between them but Redis and a bucket."""

import asyncio
import io
import os
import secrets
import signal
import zipfile
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

import httpx
import pytest
from celery import Celery
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, beside, running_bot
from tests.end_to_end.shelf import Shelf, make_large
from tests.person import Person, buttons, soon
from tests.s3_server import SECRET, S3Server

FIRST_PIECE = 5_000_000
"""Bytes after which the first piece of a file is in the bucket, and the second is on its way."""


class Valve:
    """Stands before the server. The connection that brings more than the first `limit` bytes is stuck, until it is opened."""

    def __init__(self, port: int, limit: int) -> None:
        self._port = port
        self._left = limit
        self.reached = asyncio.Event()
        self.opened = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Valve"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.opened.set()
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._port)
        await asyncio.gather(self._pass(reader, back, held=True), self._pass(there, writer), return_exceptions=True)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool = False) -> None:
        try:
            while chunk := await reader.read(1 << 16):
                self._left -= len(chunk) if held else 0
                if held and self._left < 0 and not self.reached.is_set():
                    self.reached.set()
                    await self.opened.wait()
                writer.write(chunk)
                await writer.drain()
        finally:
            writer.close()


@dataclass
class Hosts:
    """Machines that share a bucket, and no disk."""

    s3: S3Server
    prefix: str
    folder: Path
    logs: Path
    environment: dict[str, str]
    start_worker: StartWorker
    bot: BotSettings

    def worker(self, name: str, **more: str) -> AbstractContextManager["Popen[bytes]"]:
        bucket = {setting.upper(): value for setting, value in self.s3.settings(self.prefix).items()}
        own = {"DATA_DIR": str(self.folder / name)}
        return self.start_worker(name, **{**self.environment, **bucket, **own, **more})

    def log(self, name: str) -> str:
        """What the newest worker of that name has said."""
        newest = max(self.logs.glob(f"worker-{name}-*.log"), key=lambda path: path.stat().st_mtime)
        return newest.read_text()

    def objects(self) -> list[str]:
        return self.s3.objects(self.prefix)

    def jobs(self, name: str) -> list[str]:
        """Jobs that have something on that machine's disk."""
        folder = self.folder / name / "jobs"
        return [path.name for path in folder.iterdir()] if folder.exists() else []

    async def nothing_is_left(self, *names: str) -> None:
        await soon(lambda: not self.objects() and not any(self.jobs(name) for name in names), "everything is gone")


@pytest.fixture
def hosts(
    s3: S3Server,
    tmp_path: Path,
    consumet: dict[str, str],
    consumet_settings: BotSettings,
    session_settings: BotSettings,
    start_worker: StartWorker,
) -> Hosts:
    prefix = secrets.token_hex(4)
    bot = s3.used_by(consumet_settings, prefix).model_copy(update={"data_dir": tmp_path / "bot"})
    return Hosts(s3, prefix, tmp_path, session_settings.data_path, consumet, start_worker, bot)


async def pages_of(person: Person, file: dict[str, object], path: Path) -> int:
    with zipfile.ZipFile(await person.saves(file, path)) as archive:
        assert archive.testzip() is None
        return len(archive.namelist()) - 1


async def documents(person: Person) -> int:
    return len([m for m in await person.messages() if "document" in m])


async def test_a_file_passes_through_the_bucket(hosts: Hosts, mina: Person, shelf: Shelf, tmp_path: Path) -> None:
    make_large(shelf, edge=2000)  # six pieces
    with hosts.worker("one"):
        async with running_bot(hosts.bot):
            await mina.sends(shelf.command(1, 2, 3))
            assert await pages_of(mina, await mina.receives_document(), tmp_path / "got.zip") == 6
            await mina.sees("✅ Done · 6 pages")
            await hosts.nothing_is_left("one")
    assert not (tmp_path / "bot" / "jobs").exists()


async def test_the_web_api_reads_from_the_bucket(hosts: Hosts, shelf: Shelf) -> None:
    make_large(shelf, edge=2000)
    asked = {"ids": [shelf.chapter(n) for n in (1, 2, 3)], "source": "mangapill"}
    with hosts.worker("one"):
        async with running_bot(hosts.bot) as address, httpx.AsyncClient(base_url=address, timeout=40.0) as api:
            job_id = (await api.post("/api/download", json=asked)).json()["task_id"]
            await soon(lambda: "ready, 6 pages" in hosts.log("one"), "the job's end")
            file = f"/api/download/file/{job_id}"
            hosts.s3.stop()
            away = await api.get(file)
            assert (away.status_code, away.json()["error"]) == (503, "storage_down")
            hosts.s3.start()
            piece = await api.get(file, headers={"Range": "bytes=4000000-9000000"})
            whole = await api.get(file)
            assert (piece.status_code, piece.content) == (206, whole.content[4_000_000:9_000_001])
            with zipfile.ZipFile(io.BytesIO(whole.content)) as archive:
                assert archive.testzip() is None
            await hosts.nothing_is_left("one")
            assert (await api.get(file)).json()["error"] == "file_gone"


async def test_a_worker_that_is_killed_over_it_leaves_half_a_file_that_nobody_gets(
    hosts: Hosts, mina: Person, shelf: Shelf, tmp_path: Path
) -> None:
    make_large(shelf, edge=2000)
    async with running_bot(hosts.bot), Valve(hosts.s3.port, FIRST_PIECE).open() as valve:
        async with beside(hosts.worker("one", AWS_ENDPOINT_URL=valve.url)) as first:
            sent = await mina.sends(shelf.command(1, 2, 3))
            await valve.reached.wait()
            os.kill(first.pid, signal.SIGKILL)
            await asyncio.to_thread(first.wait)
        assert [key.partition("/")[2] for key in hosts.objects()] == ["1-1/00000"]
        async with beside(hosts.worker("two")):
            assert await pages_of(mina, await mina.receives_document(), tmp_path / "got.zip") == 6
            await mina.sees("✅ Done · 6 pages", after=sent)
            await hosts.nothing_is_left("two")
        assert hosts.jobs("one")  # nobody reaches its disk
        async with beside(hosts.worker("one")):
            await hosts.nothing_is_left("one")
    assert await documents(mina) == 1


async def test_a_store_that_was_away_keeps_nobody_from_getting_the_file(
    hosts: Hosts, mina: Person, shelf: Shelf
) -> None:
    hosts.s3.stop()
    with hosts.worker("one"):
        async with running_bot(hosts.bot):
            sent = await mina.sends(shelf.command(1, 2))
            await mina.sees("Packing", after=sent)
        hosts.s3.start()
        await soon(lambda: "ready, 4 pages" in hosts.log("one"), "the job's end")
        hosts.s3.stop()
        async with running_bot(hosts.bot):
            await mina.sees("Uploading", after=sent)
            hosts.s3.start()
            await mina.sees("✅ Done", after=sent)
            await hosts.nothing_is_left("one")
    assert await documents(mina) == 1


async def test_a_store_that_refuses_the_key_gets_a_sentence(
    hosts: Hosts, mina: Person, shelf: Shelf, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "wrong-" + SECRET
    bot = hosts.bot.model_copy(update={"aws_secret_access_key": SecretStr(wrong)})
    with hosts.worker("wrong", AWS_SECRET_ACCESS_KEY=wrong):
        async with running_bot(bot):
            await soon(lambda: "STORAGE_URL: 403" in caplog.text, "the bot's word")
            await soon(lambda: "STORAGE_URL: 403" in hosts.log("wrong"), "the worker's word")
            await mina.sends(shelf.command(1))
            failed = await mina.sees("❌ Failed · The finished file could not be stored right now. Try again later.")
            assert buttons(failed)[0]["text"] == "Retry"
            await soon(lambda: not hosts.jobs("wrong"), "the job's folder is gone")
            said = hosts.log("wrong")
            assert "Traceback" not in said
            assert SECRET not in said + caplog.text
    with hosts.worker("right", DATA_DIR=str(hosts.folder / "wrong")):
        async with running_bot(hosts.bot):
            await mina.presses("Retry", on=failed)
            await mina.receives_document()
    assert shelf.server.count("/1-1.jpg") == 1  # the chapter was still on the disk


async def test_a_cancelled_upload_leaves_nothing(hosts: Hosts, mina: Person, shelf: Shelf) -> None:
    make_large(shelf, edge=2000)
    async with (
        running_bot(hosts.bot),
        Valve(hosts.s3.port, FIRST_PIECE).open() as valve,
        beside(hosts.worker("one", AWS_ENDPOINT_URL=valve.url)),
    ):
        sent = await mina.sends(shelf.command(1, 2, 3))
        await valve.reached.wait()
        await mina.presses("Cancel")
        await mina.sees("✖ Cancelled by Mina Park", after=sent)
        await hosts.nothing_is_left("one")
    assert await documents(mina) == 0


async def test_nobody_waits_for_a_chapter_that_comes_to_another_disk(
    hosts: Hosts, mina: Person, junho: Person, shelf: Shelf
) -> None:
    let_go = shelf.holds_back(2, 2)
    async with running_bot(hosts.bot):
        with hosts.worker("one"), Celery("operator", broker=hosts.bot.broker_url) as operator:
            await mina.sends(shelf.command(1, 2))
            await mina.sees("pages 3/4")
            # It goes on with what it has, and takes no more.
            await asyncio.to_thread(operator.control.cancel_consumer, "downloads", reply=True, limit=1, timeout=20)
            with hosts.worker("two"):
                await junho.sends(shelf.command(2, 3))
                await junho.sees("pages 3/4")
                let_go.set()
                await asyncio.gather(mina.receives_document(), junho.receives_document())
    assert (shelf.server.count("/2-1.jpg"), shelf.server.count("/3-1.jpg")) == (2, 1)
