"""The stage for faults: `make run` under a stream of requests, kills by a seeded hand, and a judge of what came of it.

The stand-in Telegram and the source live here, in the process that nobody kills.
"""

import asyncio
import contextlib
import io
import itertools
import json
import os
import random
import re
import signal
import time
import zipfile
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from aiohttp import web
from PIL import Image
from redis.asyncio import Redis
from redis.exceptions import RedisError

from bot.local.telegram import STAND_IN_TOKEN, StandIn, serve
from bot.settings import BotSettings
from tasks.resources import open_redis
from tests.conftest import children
from tests.end_to_end.local_run import Run, running
from tests.person import GROUP, JUNHO, MINA, SOFIA, Person

VICTIMS = ("child", "bot", "downloads", "redis", "child", "beat", "bot", "cleanup", "downloads")
"""Who is killed, in turns: `child` is a process of the worker `downloads` that does the jobs."""
RESTARTED = ("redis", "downloads", "cleanup", "beat", "bot")
"""Who is told to stop and started anew, one after the other, when everything is restarted under way."""
IN_GROUP = 0.15
"""Share of requests that come from the group, where Telegram takes fewer messages."""
AT_ONCE = 8
"""Requests that are open at a time."""
PATIENCE = 180.0
"""Seconds after which a request that nothing was heard of counts as lost."""
FINAL = re.compile("✅|❌|⚠ Sent|✖")


@dataclass(frozen=True)
class Tale:
    """What one request asks for; no other request has its name."""

    number: int
    chapters: int
    pages: int

    @property
    def name(self) -> str:
        letters = "abcdefghijklmnopqrstuvwxyz"
        return "tale-" + "".join(letters[(self.number // 26**n) % 26] for n in (2, 1, 0))

    @property
    def title(self) -> str:
        return self.name.replace("-", " ").title()

    @property
    def command(self) -> str:
        ids = (f"{self.number}-{n}000/{self.name}-chapter-{n}" for n in range(1, self.chapters + 1))
        return "/download mangapill " + " ".join(ids)


class Library:
    """A Consumet API with every tale in it. Its pages take their time; the last page of every seventh tale is gone."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._tales: dict[int, Tale] = {}
        self._pictures = [_picture(shade) for shade in range(16)]
        self.url = ""

    def add(self, tale: Tale) -> None:
        self._tales[tale.number] = tale

    @staticmethod
    def missing(tale: Tale) -> int:
        return tale.chapters if tale.number % 7 == 6 else 0

    @asynccontextmanager
    async def open(self, host: str = "127.0.0.1") -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/manga/mangapill", self._hello)
        app.router.add_get("/manga/mangapill/read", self._read)
        app.router.add_get("/page/{tale}/{page}", self._page)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, host, 0).start()
        port = runner.addresses[0][1]
        self.url = f"http://{host}:{port}"
        try:
            yield
        finally:
            await runner.cleanup()

    async def _hello(self, _: web.Request) -> web.Response:
        return web.json_response({"intro": "hello"})

    async def _read(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self._random.uniform(0.02, 0.1))
        tale = self._tales[int(request.query["chapterId"].partition("-")[0])]
        return web.json_response([{"img": f"{self.url}/page/{tale.number}/{n}"} for n in range(tale.pages)])

    async def _page(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self._random.uniform(0.2, 0.8))
        tale, page = self._tales[int(request.match_info["tale"])], int(request.match_info["page"])
        if self.missing(tale) and page == tale.pages - 1:
            return web.Response(status=404)
        return web.Response(body=self._pictures[page % 16], content_type="image/jpeg")


def _picture(shade: int) -> bytes:
    target = io.BytesIO()
    Image.effect_noise((300, 400), 40 + shade).save(target, "JPEG")
    return target.getvalue()


@dataclass
class Tally:
    """What the judge saw. All but `jobs`, `kills` and the recoveries are to be zero; `told_unsure` is named apart, as a kill
    between an upload and its answer can't be told from one before it."""

    jobs: int = 0
    kills: Counter[str] = field(default_factory=Counter)
    stops: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from SIGTERM until the process was gone."""
    lost: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    told_unsure: list[str] = field(default_factory=list)
    extra_status: list[str] = field(default_factory=list)
    """Status messages beside the one that tells the end."""
    left_over: list[str] = field(default_factory=list)
    breaches: list[str] = field(default_factory=list)
    """Rules of Telegram that were broken. An edit that changes nothing is none: a bot that was killed after an edit, and before
    it noted that, makes the same once more."""
    job_recoveries: list[float] = field(default_factory=list)
    bot_recoveries: list[float] = field(default_factory=list)

    def text(self) -> str:
        """The tally as lines."""
        lines = [f"jobs {self.jobs}, kills {sum(self.kills.values())}: {dict(self.kills)}"]
        for name in ("lost", "twice", "broken", "failed", "told_unsure", "extra_status", "left_over", "breaches"):
            found = getattr(self, name)
            lines.append(f"{name.replace('_', ' ')}: {len(found)} {found[:5] if found else ''}")
        for name, times in self.stops.items():
            lines.append(f"{name} stopped {len(times)} times, the longest took {max(times):.1f} s")
        for name, seconds in (("job", sorted(self.job_recoveries)), ("bot", sorted(self.bot_recoveries))):
            if seconds:
                median, longest = seconds[len(seconds) // 2], seconds[-1]
                lines.append(f"recoveries of a {name}: {len(seconds)}, median {median:.1f} s, longest {longest:.1f} s")
        return "\n".join(lines)


class Stage:
    """One installation and its people: they ask, somebody does harm, and what came of it is judged."""

    def __init__(self, telegram: StandIn, library: Library, settings: BotSettings, seed: int) -> None:
        self._telegram = telegram
        self._library = library
        self._settings = settings
        self._random = random.Random(seed)
        self._asked: dict[str, Tale] = {}
        self._since: dict[str, float] = {}
        self._watching: set[asyncio.Task[None]] = set()
        self.tally = Tally()

    async def play(self, jobs: int, times: int) -> Tally:
        """Send so many requests and do harm so often meanwhile; the tally when all is over."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask(jobs))
            group.create_task(self._harm(jobs, times))
        await asyncio.gather(*self._watching)
        await self._judge()
        return self.tally

    async def _ask(self, jobs: int) -> None:
        for _ in range(jobs):
            await self._until(lambda: len(self._open()) < AT_ONCE)
            await self._ask_once()
        await self._until(lambda: not self._open())

    async def _ask_once(self) -> None:
        tale = Tale(self.tally.jobs, self._random.randint(2, 6), self._random.randint(3, 8))
        self.tally.jobs += 1
        self._library.add(tale)
        self._asked[tale.title] = tale
        self._since[tale.title] = time.monotonic()
        who = self._random.choice((MINA, JUNHO, SOFIA))
        grouped = self._random.random() < IN_GROUP
        place: dict[str, Any] = {"chat": GROUP, "thread": 2} if grouped else {}
        async with Person(self._telegram.url, who, **place) as person:
            await person.sends(tale.command)

    async def _harm(self, jobs: int, times: int) -> None:
        raise NotImplementedError

    async def _watch_jobs(self, at_work: Mapping[str, int]) -> None:
        """How long until each job that lost its worker has another one."""
        killed, waiting = time.monotonic(), dict(at_work)
        while waiting and time.monotonic() - killed < PATIENCE:
            await asyncio.sleep(0.1)
            with contextlib.suppress(RedisError, OSError):
                async with self._redis() as redis:
                    for job_id, fence in list(waiting.items()):
                        state, now = await redis.hmget(f"manhwa:job:{job_id}", "state", "fence")
                        if int(now or 0) > fence and state != "queued":
                            self.tally.job_recoveries.append(time.monotonic() - killed)
                            del waiting[job_id]
                        elif state not in {"queued", "downloading", "packing"}:
                            del waiting[job_id]  # it was the other child's

    async def _at_work(self) -> dict[str, int]:
        with contextlib.suppress(RedisError, OSError):
            async with self._redis() as redis:
                open_ids = cast("set[str]", await redis.smembers("manhwa:jobs:open"))
                leases = {job_id: await redis.get(f"manhwa:job:{job_id}:lease") for job_id in open_ids}
                return {job_id: int(fence) for job_id, fence in leases.items() if fence}
        return {}

    @asynccontextmanager
    async def _redis(self) -> AsyncIterator[Redis]:
        async with open_redis(self._settings.redis_url, retries=0) as redis:
            yield redis

    def _said(self, title: str) -> list[tuple[str, bool]]:
        """What the bot has said of the tale: text, and whether it is a file."""
        bot = self._telegram.world.messages.values()
        said = [(m.text or m.caption or "", m.document is not None) for m in bot if m.from_user and m.from_user.is_bot]
        return [(text, is_file) for text, is_file in said if title in text]

    def _is_over(self, title: str) -> bool:
        return any(FINAL.search(text) for text, is_file in self._said(title) if not is_file)

    def _open(self) -> list[str]:
        for title in [title for title in self._since if self._is_over(title)]:
            del self._since[title]
        now = time.monotonic()
        return [title for title, since in self._since.items() if now - since < PATIENCE]

    async def _is_due(self, number: int, jobs: int, times: int) -> None:
        """Return when it is time for the harm of that number: they are spread over the jobs."""
        due = number * jobs // times
        await self._until(lambda: self.tally.jobs - len(self._open()) >= due or self.tally.jobs >= jobs)

    async def _until(self, check: Callable[[], bool]) -> None:
        while not check():  # noqa: ASYNC110 - what is looked at tells nobody that it changed
            await asyncio.sleep(0.1)

    async def _judge(self) -> None:
        for title, tale in self._asked.items():
            said = self._said(title)
            files = [text for text, is_file in said if is_file]
            states = [text for text, is_file in said if not is_file]
            ends = [text for text in states if FINAL.search(text)]
            if not ends:
                self.tally.lost.append(title)
            if len(files) > 1 or len(ends) > 1:
                self.tally.twice.append(title)
            if len(states) > len(ends):
                self.tally.extra_status.append(title)
            if any("❌" in text or "✖" in text for text in ends):
                self.tally.failed.append(title)
            elif any("⚠ Sent" in text for text in ends):
                self.tally.told_unsure.append(title)
            elif not self._is_whole(tale):
                self.tally.broken.append(title)
        self.tally.breaches += [text for text in self._telegram.world.breaches if "not modified" not in text]
        await self._judge_leftovers()

    def _is_whole(self, tale: Tale) -> bool:
        files = [m.document for m in self._telegram.world.messages.values() if m.document and m.caption]
        for document in files:
            if not (document.file_name or "").startswith(f"{tale.title} - "):
                continue
            with zipfile.ZipFile(self._telegram.files.path(document.file_id)) as archive:
                manifest = json.loads(archive.read("manifest.json"))
                missing = sum(len(one["pages"]) for one in manifest["missing"])
                had = manifest["page_count"]
                whole = archive.testzip() is None and had + missing == tale.chapters * tale.pages
                return whole and missing == self._library.missing(tale)
        return False

    async def _judge_leftovers(self) -> None:
        """Within the time that a sweep needs everything is gone from disk and memory."""
        deadline = time.monotonic() + 90
        while (left := await self._leftovers()) and time.monotonic() < deadline:  # noqa: ASYNC110 - nor does this
            await asyncio.sleep(0.5)
        self.tally.left_over += left

    async def _leftovers(self) -> list[str]:
        jobs = self._settings.data_path / "jobs"
        left = [str(folder) for folder in jobs.iterdir()] if jobs.exists() else []
        try:
            async with self._redis() as redis:
                for key in (
                    "manhwa:jobs:open",
                    "manhwa:jobs:queued",
                    "manhwa:bot:watchers",
                    "manhwa:bot:inbox",
                    "manhwa:bot:watchers:released",
                ):
                    left += [key] if await redis.exists(key) else []
        except (RedisError, OSError):
            left.append("no Redis")
        return left


class OneMachine(Stage):
    """`make run`."""

    def __init__(self, telegram: StandIn, library: Library, run: Run, seed: int) -> None:
        super().__init__(telegram, library, run.settings, seed)
        self._run = run
        self._victims = itertools.cycle(VICTIMS)


class Restarts(OneMachine):
    """And who restarts all of its processes, one after the other, so many times."""

    async def _harm(self, jobs: int, times: int) -> None:
        for number in range(times * len(RESTARTED)):
            due = number * jobs // (times * len(RESTARTED))
            await self._until(lambda due=due: self.tally.jobs - len(self._open()) >= due or self.tally.jobs == jobs)  # type: ignore[misc]
            name = RESTARTED[number % len(RESTARTED)]
            if pid := self._run.child(name):
                await self._replace(name, pid)

    async def _replace(self, name: str, pid: int) -> None:
        told, ready = time.monotonic(), self._run.said.count(" ready.")
        self._telegram.methods.bot_came.clear()
        os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            await self._until(lambda: not Path(f"/proc/{pid}").exists())
            self.tally.stops[name].append(time.monotonic() - told)
            await self._until(lambda: self._run.child(name) is not None)
            if name == "bot":
                await self._telegram.methods.bot_came.wait()
            elif name in {"downloads", "cleanup"}:
                await self._until(lambda: self._run.said.count(" ready.") > ready)


class Kills(OneMachine):
    """And who kills one of its processes after the other."""

    async def _harm(self, jobs: int, times: int) -> None:
        for number in range(times):
            await self._is_due(number, jobs, times)
            await asyncio.sleep(self._random.uniform(0.5, 4.0))
            victim = next(self._victims)
            pid = self._run.child("downloads" if victim == "child" else victim)
            if victim == "child" and pid:
                pid = self._random.choice(children(pid) or [0])
            if pid:
                await self._strike(victim, pid)

    async def _strike(self, victim: str, pid: int) -> None:
        at_work = await self._at_work() if victim in {"child", "downloads"} else {}
        self._telegram.methods.bot_came.clear()
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        self.tally.kills[victim] += 1
        watch = self._watch_bot() if victim == "bot" else self._watch_jobs(at_work)
        task = asyncio.create_task(watch)
        self._watching.add(task)

    async def _watch_bot(self) -> None:
        killed = time.monotonic()
        async with asyncio.timeout(PATIENCE):
            await self._telegram.methods.bot_came.wait()
        self.tally.bot_recoveries.append(time.monotonic() - killed)


def settings_for(telegram: StandIn, library: Library) -> dict[str, str]:
    """What the bot and its workers have to know of the two."""
    return {
        "TELEGRAM_BOT_TOKEN": STAND_IN_TOKEN,
        "TELEGRAM_API_URL": telegram.url,
        "MANGAPI_URL": library.url,
        "CONSUMET_PROVIDERS": "mangapill",
        "MAX_ACTIVE_JOBS_PER_USER": str(AT_ONCE),
    }


@asynccontextmanager
async def open_stage(
    folder: Path, environment: Mapping[str, str], seed: int, kind: type[OneMachine] = Kills
) -> AsyncIterator[OneMachine]:
    """Everything that `make run` starts, with a Telegram and a source of ours."""
    library = Library(seed)
    async with serve() as telegram, library.open():
        settings = settings_for(telegram, library)
        async with running(folder, {**environment, **settings}) as run:
            yield kind(telegram, library, run, seed)
