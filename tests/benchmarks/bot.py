"""The bot under load: 1 000 jobs that report every second in 200 chats, uploads meanwhile, and how soon an edit follows."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from aiogram.types import Chat

from bot.local.telegram import STAND_IN_TOKEN, StandIn, serve
from bot.local.telegram.world import BOT
from bot.memory.watchers import Watcher, Watchers
from tasks.jobs.job import ArchiveFile, Progress, Result
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest
from tasks.resources import open_redis
from tasks.workspace import Workspace
from tests.benchmarks.installation import Installation, installation
from tests.benchmarks.report import Figure
from tests.conftest import ROOT
from tests.person import MINA

JOBS, PRIVATE_CHATS, GROUPS = 1000, 160, 40
UPLOADS, UPLOAD_BYTES = 4, 45_000_000
SECONDS = 20.0
"""How long the load is looked at."""


class BotProcess:
    """A bot in a process of its own."""

    def __init__(self, running: asyncio.subprocess.Process) -> None:
        self._running = running

    async def tells(self) -> dict[str, float]:
        """How it did since it was asked last."""
        self._running.send_signal(signal.SIGUSR1)
        return await self.line()

    async def line(self) -> dict[str, float]:
        assert self._running.stdout
        told: dict[str, float] = json.loads(await self._running.stdout.readline())
        return told


@asynccontextmanager
async def bot_process(at: Installation, telegram: StandIn) -> AsyncIterator[BotProcess]:
    """The bot, from when it is up."""
    environment = {**at.environment, "TELEGRAM_BOT_TOKEN": STAND_IN_TOKEN, "TELEGRAM_API_URL": telegram.url}
    words = [sys.executable, "-m", "tests.benchmarks.bot_process"]
    with (at.settings.data_path / "bot.log").open("ab") as log:
        running = await asyncio.create_subprocess_exec(
            *words, cwd=ROOT, env=environment, stdout=asyncio.subprocess.PIPE, stderr=log
        )
    try:
        started = BotProcess(running)
        await started.line()
        yield started
    finally:
        running.terminate()
        await running.wait()


class Crowd:
    """Jobs that workers are at, and chats that wait for them."""

    def __init__(self, at: Installation, telegram: StandIn, store: JobStore, watchers: Watchers) -> None:
        self._at = at
        self._telegram = telegram
        self._store = store
        self._watchers = watchers
        self._pages = 0
        self.leases: list[Lease] = []

    async def add(self, number: int, chat_id: int, *, message: bool) -> None:
        """A job, and a chat with a status message already, or not."""
        chapters = tuple(Chapter(id=f"{number}-{n}", number=str(n)) for n in range(1, 6))
        request = DownloadRequest(source="demo", title=f"Tale {number}", chapters=chapters)
        job_id, _, called = await self._store.create_or_join(request, f"bench:{number}", 5)
        lease, _ = await self._store.take_lease(called or job_id)
        assert lease
        self.leases.append(lease)
        shown = self._telegram.world.new_message(chat_id, BOT, text="…") if message else None
        if shown:
            await self._telegram.world.put(shown)
        await self._watchers.add(
            Watcher(
                job_id=job_id,
                chat_id=chat_id,
                user_id=abs(chat_id),
                user_name="Reader",
                message_id=shown and shown.message_id,
            )
        )

    async def report(self, lease: Lease) -> None:
        """Its worker says how far it is."""
        self._pages += 1
        percent = self._pages % 100
        await self._store.keep_lease(
            lease, Progress(chapters_total=5, pages_done=self._pages, pages_total=10**6, percent=percent, bytes=10**7)
        )

    async def reports(self) -> None:
        """All of them, every second, for ever."""
        while True:
            started = time.monotonic()
            for place, lease in enumerate(self.leases):
                await self.report(lease)
                # Spread over the second, as real workers are.
                await asyncio.sleep(max(0.0, started + place / len(self.leases) - time.monotonic()))
            await asyncio.sleep(max(0.0, started + 1 - time.monotonic()))

    async def ready(self, lease: Lease) -> None:
        """The job is done, with a file as large as one may be."""
        name = "Tale.zip"
        path = Workspace(self._at.settings).folder(lease.job_id).file(name)
        path.write_bytes(os.urandom(1 << 20) * (UPLOAD_BYTES >> 20))
        file = ArchiveFile(name=name, size=path.stat().st_size, chapters=("1",), pages=100)
        await self._store.finish(lease, Result(files=(file,)))


@asynccontextmanager
async def crowd(folder: Path) -> AsyncIterator[tuple[Crowd, StandIn, Installation]]:
    """An installation and a Telegram for it."""
    async with serve() as telegram, installation(folder) as at, open_redis(at.settings.redis_url) as redis:
        telegram.world.further_chats = (
            *(Chat(id=10_000 + n, type="private", first_name="Reader") for n in range(PRIVATE_CHATS)),
            *(Chat(id=-1_000_000_010_000 - n, type="supergroup", title="Club") for n in range(GROUPS)),
        )
        yield Crowd(at, telegram, JobStore(redis), Watchers(redis)), telegram, at


async def bot(folder: Path, rounds: int) -> list[Figure]:
    """One job alone, then a thousand, then uploads beside those."""
    return [*await _alone(folder / "alone", rounds), *await _loaded(folder / "loaded")]


async def _alone(folder: Path, rounds: int) -> list[Figure]:
    async with crowd(folder) as (jobs, telegram, at):
        await jobs.add(0, MINA, message=True)
        times, seen = [], telegram.world.sequence
        async with bot_process(at, telegram):
            await telegram.world.wait_for_change(seen, 30)  # the bot is up, and has said what it found
            for _ in range(2 * rounds):
                await asyncio.sleep(3.5)  # the chat has budget again
                seen, started = telegram.world.sequence, time.monotonic()
                await jobs.report(jobs.leases[0])
                await telegram.world.wait_for_change(seen, 10)
                times.append(time.monotonic() - started)
    return [Figure("event in a worker to edit, private chat", median(times), "s", 0.3)]


async def _loaded(folder: Path) -> list[Figure]:
    async with crowd(folder) as (jobs, telegram, at):
        chats = [chat.id for chat in telegram.world.further_chats]
        for number in range(JOBS):
            chat_id = chats[number % len(chats)]
            await jobs.add(number, chat_id, message=chat_id > 0)
        reporting = asyncio.create_task(jobs.reports())
        async with bot_process(at, telegram) as process:
            await asyncio.sleep(5)
            await process.tells()
            before = telegram.world.sequence
            await asyncio.sleep(SECONDS)
            running, edits = await process.tells(), telegram.world.sequence - before
            for lease in jobs.leases[:UPLOADS]:
                await jobs.ready(lease)
            del jobs.leases[:UPLOADS]
            await process.tells()
            while telegram.files.uploads < UPLOADS:
                await asyncio.sleep(0.05)
            uploading = await process.tells()
        reporting.cancel()
        refused = sum("Too Many Requests" in breach for breach in telegram.world.breaches)
    return [
        Figure(f"{JOBS} jobs in {len(chats)} chats: lag, 99th percentile", running["lag_p99"], "ms", 20),
        Figure("  lag, median", running["lag_median"], "ms"),
        Figure("  lag, longest", running["lag_max"], "ms"),
        Figure("  share of a CPU", running["cpu"]),
        Figure("  messages and edits a second", edits / SECONDS),
        Figure("  memory, at most", running["peak_memory"], "MB"),
        Figure(f"  with {UPLOADS} uploads of 45 MB: lag, 99th percentile", uploading["lag_p99"], "ms", 20),
        Figure("  lag, longest", uploading["lag_max"], "ms"),
        Figure("  memory for each upload", uploading["more_memory"] / UPLOADS, "MB", 8),
        Figure("answers 429", refused, "", 0),
        Figure("other rules broken", len(telegram.world.breaches) - refused, "", 0),
    ]
