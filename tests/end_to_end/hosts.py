"""`make hosts`: Redis, the bot and two workers on hosts of their own; a worker is cut off in mid-job, and comes back.

Prints the tally; the exit status is 0 if nothing was lost, doubled or left, and every worker came back by itself.
"""

import argparse
import asyncio
import itertools
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr

from bot.local.redis_server import server_binary
from bot.local.telegram import StandIn, serve
from bot.settings import BotSettings
from tests.conftest import ROOT, environment_without_settings
from tests.end_to_end.network import Network, NoNetwork, network
from tests.end_to_end.stage import AT_ONCE, Library, Stage, settings_for
from tests.person import soon

WORKERS = ("one", "two")
PASSWORD = "only-for-this-run"  # noqa: S105
TAKES = re.compile(r"job (\w+): attempt")
CUTS = (20.0, 60.0, 8.0, 40.0)
"""Seconds for which a worker is cut off, in turns: before its connections have given up, and after."""
BACK_WITHIN = 60.0
"""Seconds after which a worker that can be reached again has to have taken a job."""


@dataclass
class Process:
    """One process on a host, and what it has said."""

    running: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")


@dataclass
class Returns:
    """How cut-off workers came back: seconds from then until they took a job; None = not in time."""

    seconds: list[float | None] = field(default_factory=list)

    def text(self) -> str:
        known = sorted(one for one in self.seconds if one is not None)
        late = len(self.seconds) - len(known)
        return f"returns of a worker: {[round(one, 1) for one in known]} s" + (f", {late} not in time" if late else "")


class Cuts(Stage):
    """Four hosts, and who cuts a worker off while it has a job."""

    def __init__(
        self,
        telegram: StandIn,
        library: Library,
        settings: BotSettings,
        seed: int,
        hosts: Network,
        workers: Mapping[str, Process],
    ) -> None:
        super().__init__(telegram, library, settings, seed)
        self._hosts = hosts
        self._workers = workers
        self.returns = Returns()

    async def _harm(self, jobs: int, times: int) -> None:
        victims, lengths = itertools.cycle(WORKERS), itertools.cycle(CUTS)
        for number in range(times):
            await self._is_due(number, jobs, times)
            await self._cut_off(next(victims), next(lengths))
        await self._until(lambda: not self._open())

    async def _cut_off(self, name: str, seconds: float) -> None:
        worker = self._workers[name]
        at_work = await self._jobs_of(worker)
        self._hosts.cut_off(name)
        self.tally.kills[f"{name} cut off for {seconds:.0f} s"] += 1
        watching = asyncio.create_task(self._watch_jobs(at_work))
        await asyncio.sleep(seconds)
        self._hosts.join(name)
        await watching
        self.returns.seconds.append(await self._taking_again(worker))

    async def _jobs_of(self, worker: Process) -> dict[str, int]:
        """Jobs the worker has now, with their fences; there is work until it has one."""
        while True:
            await self._keep_busy()
            taken = set(TAKES.findall(worker.said))
            found = {job_id: fence for job_id, fence in (await self._at_work()).items() if job_id in taken}
            if found:
                return found

    async def _taking_again(self, worker: Process) -> float | None:
        before, since = len(TAKES.findall(worker.said)), time.monotonic()
        while time.monotonic() - since < BACK_WITHIN:
            await self._keep_busy()
            if len(TAKES.findall(worker.said)) > before:
                return time.monotonic() - since
        return None

    async def _keep_busy(self) -> None:
        await asyncio.sleep(0.1)
        if len(self._open()) < AT_ONCE:
            await self._ask_once()


@asynccontextmanager
async def open_hosts(folder: Path, seed: int) -> AsyncIterator[Cuts]:
    """Everything on its host, from when it is up. Raises `NoNetwork`."""
    library = Library(seed)
    with ExitStack() as stack:
        hosts = stack.enter_context(network("redis", "bot", *WORKERS))
        async with serve(host=hosts.here) as telegram, library.open(hosts.here):
            address = f"redis://:{PASSWORD}@{hosts.address('redis')}:6379/0"
            shared = folder / "shared"
            ours = {**settings_for(telegram, library), "CELERY_BROKER_URL": address, "DATA_DIR": str(shared)}
            environment = {**environment_without_settings(), **ours}
            settings = BotSettings(_env_file=None, data_dir=shared, celery_broker_url=SecretStr(address))

            def start(name: str, host: str, *words: str) -> Process:
                log = folder / f"{name}.log"
                return stack.enter_context(_running([*hosts.at(host), *words], environment, log))

            start("redis", "redis", *_redis(folder / "redis"))
            celery = (sys.executable, "-m", "celery", "-q", "-A", "tasks")
            workers = {name: start(name, name, *celery, *_worker(name)) for name in WORKERS}
            start("beat", "bot", *celery, "beat", "-l", "WARNING")
            bot = start("bot", "bot", sys.executable, "-m", "bot")
            await soon(lambda: "the bot is up" in bot.said, "the bot up")
            for worker in workers.values():
                await soon(lambda worker=worker: " ready." in worker.said, "a worker ready")
            yield Cuts(telegram, library, settings, seed, hosts, workers)
            # Here and not with the rest: its last words go to the servers of this block.
            bot.running.terminate()
            await asyncio.to_thread(bot.running.wait, 30)


def _redis(folder: Path) -> list[str]:
    folder.mkdir()
    options = {"dir": str(folder), "bind": "0.0.0.0", "requirepass": PASSWORD, "appendonly": "yes", "save": ""}  # noqa: S104
    return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def _worker(name: str) -> tuple[str, ...]:
    return ("worker", "-Q", "downloads,cleanup", "-c", "2", "-n", f"{name}@{name}", "-l", "INFO", "--without-gossip")


@contextmanager
def _running(words: list[str], environment: Mapping[str, str], log: Path) -> Iterator[Process]:
    with log.open("wb") as output:
        running = subprocess.Popen(words, cwd=ROOT, env=dict(environment), stdout=output, stderr=output)
    try:
        yield Process(running, log)
    finally:
        running.terminate()
        try:
            running.wait(20)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()


async def play(folder: Path, jobs: int, cuts: int, seed: int) -> tuple[bool, str]:
    """Whether all went well, and what there is to tell."""
    async with open_hosts(folder, seed) as stage:
        tally = await stage.play(jobs, cuts)
    well = not (tally.lost or tally.twice or tally.broken or tally.failed or tally.left_over or tally.breaches)
    return well and None not in stage.returns.seconds, f"{tally.text()}\n{stage.returns.text()}"


def main() -> int:
    """Play it once; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=60)
    parser.add_argument("--cuts", type=int, default=len(CUTS))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where logs and data go and stay; default: a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = (asked.folder or Path(temporary)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        try:
            well, text = asyncio.run(play(folder, asked.jobs, asked.cuts, asked.seed))
        except NoNetwork as error:
            sys.stderr.write(f"{error}\n")
            return 2
    sys.stdout.write(f"seed {asked.seed}: {text}\n")
    return not well


if __name__ == "__main__":
    sys.exit(main())
