"""`make run` as a process of its own: what it says, what it has started, and what may be killed of it."""

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.settings import BotSettings
from tests.person import soon

ROOT = Path(__file__).parent.parent.parent
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
        await soon(lambda: "the bot is up" in self.said, "the bot up")
        await soon(lambda: self.said.count(" ready.") >= 2, "both workers ready")

    async def interrupted(self) -> int:
        """Ctrl-C: a terminal sends it to the whole group. The exit status."""
        os.killpg(self.manager.pid, signal.SIGINT)
        return await asyncio.to_thread(self.manager.wait, 30)


def _is(name: str, words: str) -> bool:
    return re.search(MARKS[name], words) is not None


def start(settings: BotSettings, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    words = [sys.executable, "-m", "bot.local"]
    environment = {**environment, "DATA_DIR": str(settings.data_dir)}
    log.unlink(missing_ok=True)
    # To append: the manager and its programs write to it each on their own.
    with log.open("ab") as output:
        return subprocess.Popen(words, cwd=ROOT, env=environment, stdout=output, stderr=output, start_new_session=True)


@asynccontextmanager
async def running(folder: Path, environment: Mapping[str, str], round_: int = 1) -> AsyncIterator[Run]:
    """`make run` in a process group of its own, as under a terminal, from when everything is up."""
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
