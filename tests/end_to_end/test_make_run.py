"""`make run` as an operator lives with it: everything starts, comes back, and goes."""

import asyncio
import fcntl
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from bot.local.processes import programs, supervisor_config
from bot.local.redis_server import is_live
from bot.settings import BotSettings
from tests.person import Person, soon

ROOT = Path(__file__).parent.parent.parent
MANAGED = {"redis", "telegram", "downloads", "cleanup", "beat", "bot"}
MARKS = {
    "redis": "unixsocket:|redis_server",
    "telegram": "bot.local.telegram",
    "downloads": "-Q downloads",
    "cleanup": "-Q cleanup",
    "beat": " beat ",
    "bot": "-m bot$",
}
"""By what a process is known in the list of all processes."""


def processes() -> dict[int, tuple[int, str]]:
    """Every living process: its parent and its command line."""
    listed = subprocess.run(
        ["/bin/ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,args="], capture_output=True, text=True, check=True
    )
    rows = (line.split(maxsplit=3) for line in listed.stdout.splitlines())
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if len(row) == 4 and not row[2].startswith("Z")}


@dataclass
class Run:
    """One `make run`, its log, and what it has started."""

    manager: subprocess.Popen[bytes]
    log: Path
    settings: BotSettings

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    @property
    def chat_page(self) -> str:
        found = re.search(r"chat page is at (http://127\.0\.0\.1:\d+)/", self.said)
        assert found, self.said
        return found[1]

    def family(self) -> set[int]:
        """The processes below the manager."""
        alive = processes()
        found = {self.manager.pid}
        while more := {pid for pid, (parent, _) in alive.items() if parent in found} - found:
            found |= more
        return found - {self.manager.pid}

    def child(self, name: str) -> int | None:
        """The id of that process; None while there is none."""
        alive = processes()
        return next(
            (p for p, (parent, words) in alive.items() if parent == self.manager.pid and _is(name, words)), None
        )

    def kill(self, name: str) -> int:
        pid = self.child(name)
        assert pid, f"no {name} to kill"
        os.kill(pid, signal.SIGKILL)
        return pid

    async def comes_back(self, name: str, killed: int) -> None:
        await soon(lambda: self.child(name) not in {None, killed}, f"{name} again")

    async def is_up(self) -> None:
        await soon(
            lambda: all(said in self.said for said in ("chat page is at", "the bot is up", "talk to it at")),
            "the bot up",
        )
        await soon(lambda: self.said.count(" ready.") >= 2, "both workers ready")

    async def interrupted(self) -> int:
        """Ctrl-C: a terminal sends it to the whole group. The exit status."""
        os.killpg(self.manager.pid, signal.SIGINT)
        return await asyncio.to_thread(self.manager.wait, 30)


def _is(name: str, words: str) -> bool:
    return re.search(MARKS[name], words) is not None


def start(settings: BotSettings, environment: dict[str, str], log: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "bot.local"]
    environment = {**environment, "DATA_DIR": str(settings.data_dir)}
    with log.open("wb") as output:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True)


@asynccontextmanager
async def running(folder: Path, environment: dict[str, str], round_: int = 1) -> AsyncIterator[Run]:
    """`make run` in a process group of its own, as under a terminal, until everything is up."""
    settings = BotSettings(_env_file=None, data_dir=folder / "data")
    log = folder / f"run-{round_}.log"
    run = Run(start(settings, environment, log), log, settings)
    manager = run.manager
    try:
        await run.is_up()
        yield run
    finally:
        family = run.family()
        if manager.poll() is None:
            await run.interrupted()
        for pid in family & processes().keys():
            os.kill(pid, signal.SIGKILL)


def is_free(lock: Path) -> bool:
    with lock.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


async def a_second_run_is_refused(run: Run, environment: dict[str, str]) -> None:
    family = run.family()
    log = run.log.with_name("second.log")
    assert await asyncio.to_thread(start(run.settings, environment, log).wait, 30) != 0
    assert re.fullmatch(r"[^\n]*another run uses it already\n", log.read_text())
    assert run.family() == family


async def test_everything_starts_comes_back_and_goes(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    async with running(tmp_path, clean_environment) as run:
        async with httpx.AsyncClient() as browser:
            assert (await browser.get(run.chat_page)).status_code == 200
        assert {name for name in MANAGED if run.child(name)} == MANAGED
        await a_second_run_is_refused(run, clean_environment)
        for name in ("redis", "bot", "downloads"):
            await run.comes_back(name, run.kill(name))
        await soon(lambda: is_live(run.settings), "Redis answers")
        await soon(lambda: run.said.count("the bot is up") == 2, "the bot up again")
        async with Person(run.chat_page) as mina:
            await mina.sends("/download demo lantern-1")
            await mina.receives_document()
        family = run.family()
        assert await run.interrupted() == 0
    await soon(lambda: not family & processes().keys(), "every process gone")
    assert not run.settings.redis_socket.exists()
    assert is_free(run.settings.data_path / "run" / "lock")
    assert is_free(run.settings.data_path / "redis" / "lock")


async def test_a_run_finds_the_jobs_of_the_one_before(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    async with running(tmp_path, clean_environment) as first:
        worker = first.child("downloads")
        assert worker
        os.kill(worker, signal.SIGSTOP)  # so that the job can't be done in time
        async with Person(first.chat_page) as mina:
            await mina.sends("/download demo lantern-2")
            await mina.sees("(?i)queue|position|wait")
        assert await first.interrupted() == 0
    async with running(tmp_path, clean_environment, 2) as second, Person(second.chat_page) as mina:
        await mina.receives_document()
        await mina.sees("Done")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
async def test_a_manager_that_was_killed_leaves_nobody_behind(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    async with running(tmp_path, clean_environment) as first:
        family = first.family()
        first.manager.kill()
        first.manager.wait()
        async with running(tmp_path, clean_environment, 2) as second:
            await soon(lambda: not family & processes().keys(), "the first one's processes gone")
            assert {name for name in MANAGED if second.child(name)} == MANAGED
            await soon(lambda: is_live(second.settings), "Redis answers")


def test_what_is_configured_is_not_started(tmp_path: Path) -> None:
    settings = BotSettings(_env_file=None, data_dir=tmp_path)
    assert {p.name for p in programs(settings, with_redis=False, chat_port=None)} == MANAGED - {"redis", "telegram"}


def test_the_manager_is_told_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TELEGRAM_BOT_TOKEN", "1:hunter2")
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:hunter2@host")
    settings = BotSettings(_env_file=None, data_dir=tmp_path)
    told = supervisor_config(programs(settings, with_redis=False, chat_port=None), tmp_path, "me")
    assert "hunter2" not in told
