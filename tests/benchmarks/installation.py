"""An installation for benchmarks: its own Redis, real workers, jobs through the queue, and what the workers took for them."""

import asyncio
import hashlib
import json
import os
import time
import zipfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from bot.local.redis_server import is_live
from bot.settings import BotSettings
from tasks.dispatch import Dispatch, open_dispatch
from tasks.jobs.job import Job
from tasks.jobs.store import JobStore
from tasks.models import Chapter, DownloadRequest
from tasks.resources import open_redis
from tasks.workspace import Workspace
from tests.conftest import beside, children, environment_without_settings, process

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Installation:
    """Submits jobs and waits for them."""

    settings: BotSettings
    environment: dict[str, str]
    store: JobStore
    dispatch: Dispatch
    _workers: list[int]
    _jobs: int = 0

    @asynccontextmanager
    async def workers(self, number: int, processes: int = 1) -> AsyncIterator[None]:
        """So many workers with so many processes each."""
        async with AsyncExitStack() as stack:
            for n in range(number):
                words = ["celery", "-A", "tasks", "worker", "-Q", "downloads,cleanup", "-n", f"{n}@%h", "-l", "INFO"]
                log = self.settings.data_path / f"worker-{n}-{time.monotonic_ns()}.log"
                running = process([*words, "-c", str(processes)], self.environment, log, lambda said: " ready." in said)
                self._workers.append((await stack.enter_async_context(beside(running))).pid)
            yield
            self._workers.clear()

    @property
    def doing(self) -> list[int]:
        """The processes that do the jobs."""
        return [child for worker in self._workers for child in children(worker)]

    def cpu(self) -> float:
        """Seconds of CPU that these took by now."""
        return sum(_cpu(pid) for pid in self.doing)

    def written(self) -> int:
        """Bytes that these wrote to the disk by now, or will have when it is in step with them."""
        return sum(_written(pid) for pid in self.doing)

    def peak(self) -> float:
        """Megabytes of memory that the largest of these had at most."""
        return max(_peak(pid) for pid in self.doing)

    async def submit(self, chapters: Sequence[int], source: str = "mangapill", **more: Any) -> str:
        """The id of a new job for these chapters of the origin; nobody else's request is the same."""
        self._jobs += 1
        wanted = tuple(Chapter(id=f"c{n}" if source == "mangapill" else _uuid(n), number=str(n)) for n in chapters)
        request = DownloadRequest(source=source, title=f"Job {self._jobs}", chapters=wanted, part_limit=10**10, **more)
        return (await self.dispatch.submit(request, f"bench:{self._jobs}")).job_id

    async def ended(self, job_id: str) -> Job:
        """The job when it has ended; its own times say how long it took."""
        while (job := await self.store.read(job_id)) is None or job.state.is_open:
            await asyncio.sleep(0.02)
        if job.result is None:
            raise SystemExit(f"the job failed: {job.error}")
        return job

    def check_pages(self, job: Job, sent: set[str]) -> None:
        """Stop everything if a page in the job's archive is none of those with these digests."""
        folder = Workspace(self.settings).folder(job.id)
        for file in job.result.files if job.result else ():
            with zipfile.ZipFile(folder.file(file.name)) as archive:
                manifest = json.loads(archive.read("manifest.json"))
                pages = [page for chapter in manifest["chapters"] for page in chapter["files"]]
                exact = all(hashlib.sha256(archive.read(page["name"])).hexdigest() == page["sha256"] for page in pages)
                if not exact or not sent.issuperset(page["sha256"] for page in pages) or archive.testzip():
                    raise SystemExit(f"{file.name} is not what the origin has")


def quiet_disk() -> None:
    """Wait until what was written before is on the disk: who comes next has it to themselves."""
    os.sync()


def seconds(job: Job) -> float:
    """From the worker that had it to the finished archive."""
    return (job.ended_at or 0) - (job.started_at or 0)


def _uuid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012}"


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _written(pid: int) -> int:
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("write_bytes"))


def _peak(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1000


@asynccontextmanager
async def installation(folder: Path, **more: str) -> AsyncIterator[Installation]:
    """One with settings by their names in capitals; nothing of the machine's own settings counts."""
    folder.mkdir(parents=True, exist_ok=True)
    chosen = {"DATA_DIR": str(folder), "DOWNLOAD_CONCURRENCY": "16", "MAX_CHAPTERS_PER_JOB": "1000", **more}
    environment = {**environment_without_settings(), **chosen}
    values = {name.lower(): value for name, value in environment.items() if name.lower() in BotSettings.model_fields}
    settings = BotSettings(_env_file=None, telegram_bot_token=SecretStr("1:x"), **values)  # type: ignore[arg-type]
    redis = process(["bot.local.redis_server"], environment, folder / "redis.log", lambda _: is_live(settings))
    async with beside(redis), open_redis(settings.redis_url) as client:
        store = JobStore(client)
        async with open_dispatch(settings, store) as dispatch:
            yield Installation(settings, environment, store, dispatch, [])
