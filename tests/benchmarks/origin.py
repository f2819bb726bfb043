"""The origin of the benchmarks: a Consumet API, MangaDex's page look-ups and an image host, as slow, capped and faulty as told.

`python -m tests.benchmarks.origin '<JSON of Manners>'` prints its address and serves until it is told to stop.
"""

import asyncio
import hashlib
import io
import json
import random
import sys
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from typing import Any

import httpx
from aiohttp import web
from PIL import Image

PAGES = 20
CHUNK = 64 * 1024
SHARES = ((0.03, "500"), (0.05, "cut"), (0.06, "429"))
"""Of a hundred answers with pages, where there are faults: three are errors, two break off, one wants a pause."""


@dataclass(frozen=True)
class Manners:
    """How the origin behaves. Milliseconds of latency, give or take `jitter`; megabytes a second of one connection, 0 = all."""

    latency: float = 0.0
    jitter: float = 0.0
    cap: float = 0.0
    page_bytes: int = 400_000
    pages: int = PAGES
    """Of a chapter."""
    faulty: bool = False
    lookups_a_minute: int = 0
    """MangaDex's: so many page lists a minute, and five requests a second; what is over gets a 429. 0 = no limits."""


class Origin:
    """Chapters `c<number>` of `PAGES` pages each."""

    def __init__(self, manners: Manners) -> None:
        self._manners = manners
        self._random = random.Random(7)
        self._pictures = pictures(manners.page_bytes)
        self._asked: dict[str, deque[float]] = {"minute": deque(), "second": deque()}
        self._connections: Counter[int] = Counter()
        self.told: Counter[str] = Counter()
        self.url = ""

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        app = web.Application()
        app.router.add_get("/manga/mangapill/harbour", self._search)
        app.router.add_get("/manga/mangapill/info", self._info)
        app.router.add_get("/manga/mangapill/read", self._read)
        app.router.add_get("/at-home/server/{chapter}", self._look_up)
        app.router.add_get("/page/{page}", self._page)
        app.router.add_get("/data/{chapter}/{page}", self._page)
        app.router.add_post("/report", self._take_report)
        app.router.add_get("/told", self._tell)
        app.router.add_get("/digests", self._digests)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = "http://{}:{}".format(*runner.addresses[0][:2])
        try:
            yield
        finally:
            await runner.cleanup()

    async def _take_report(self, _: web.Request) -> web.Response:
        return web.json_response({})

    async def _tell(self, _: web.Request) -> web.Response:
        return web.json_response({**self.told, "connections": len(self._connections)})

    async def _digests(self, _: web.Request) -> web.Response:
        return web.json_response([hashlib.sha256(body).hexdigest() for _, body in self._pictures])

    async def _wait(self) -> None:
        seconds = (self._manners.latency + self._random.uniform(-1, 1) * self._manners.jitter) / 1000
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _search(self, _: web.Request) -> web.Response:
        return web.json_response({"results": [{"id": "7/harbour", "title": "Harbour"}]})

    async def _info(self, _: web.Request) -> web.Response:
        chapters = [{"id": f"c{n}", "title": f"Chapter {n}", "chapter": str(n)} for n in range(200, 0, -1)]
        return web.json_response({"id": "7/harbour", "title": "Harbour", "chapters": chapters})

    async def _read(self, request: web.Request) -> web.Response:
        self.told["lists"] += 1
        await self._wait()
        chapter = int(request.query["chapterId"].removeprefix("c"))
        names = (f"{chapter * PAGES + n}.{self._pictures[n][0]}" for n in range(self._manners.pages))
        return web.json_response([{"img": f"{self.url}/page/{name}"} for name in names])

    async def _look_up(self, request: web.Request) -> web.Response:
        self.told["lists"] += 1
        if self._manners.lookups_a_minute and not self._allowed():
            self.told["429"] += 1
            return web.json_response({}, status=429, headers={"X-RateLimit-Retry-After": f"{time.time() + 60:.0f}"})
        await self._wait()
        names = [f"{n}.{self._pictures[n][0]}" for n in range(PAGES)]
        chapter = {"hash": request.match_info["chapter"], "data": names, "dataSaver": names}
        return web.json_response({"result": "ok", "baseUrl": self.url, "chapter": chapter})

    def _allowed(self) -> bool:
        now = time.monotonic()
        for name, seconds, most in (("minute", 60.0, self._manners.lookups_a_minute), ("second", 1.0, 5)):
            asked = self._asked[name]
            while asked and now - asked[0] > seconds:
                asked.popleft()
            if len(asked) >= most:
                return False
        for asked in self._asked.values():
            asked.append(now)
        return True

    async def _page(self, request: web.Request) -> web.StreamResponse:
        self._connections[id(request.transport)] += 1
        self.told["pages"] += 1
        await self._wait()
        kind, body = self._pictures[int(request.match_info["page"].partition(".")[0]) % PAGES]
        fault = self._fault()
        if fault in {"500", "429"}:
            self.told[fault] += 1
            return web.Response(status=int(fault), headers={"Retry-After": "1"} if fault == "429" else None)
        if fault is None and not self._manners.cap:
            return web.Response(body=body, content_type=f"image/{kind}")
        answer = web.StreamResponse(headers={"Content-Type": f"image/{kind}", "Content-Length": str(len(body))})
        await answer.prepare(request)
        await self._send(answer, body if fault is None else body[: len(body) // 2])
        if fault and request.transport:
            self.told[fault] += 1
            request.transport.close()
        return answer

    def _fault(self) -> str | None:
        drawn = self._random.random() if self._manners.faulty else 1.0
        return next((fault for share, fault in SHARES if drawn < share), None)

    async def _send(self, answer: web.StreamResponse, body: bytes) -> None:
        started = time.monotonic()
        for start in range(0, len(body), CHUNK):
            await answer.write(body[start : start + CHUNK])
            if self._manners.cap:
                due = started + min(start + CHUNK, len(body)) / (self._manners.cap * 1e6)
                await asyncio.sleep(max(0.0, due - time.monotonic()))


def pictures(size: int) -> list[tuple[str, bytes]]:
    """`PAGES` pictures of about that many bytes, which do not compress: JPEG, PNG and WebP in turns, by type."""
    return [_picture(n, size) for n in range(PAGES)]


def _picture(number: int, size: int) -> tuple[str, bytes]:
    kind, pixels_a_byte = (("jpeg", 1.0), ("png", 1.02), ("webp", 1.21))[number % 3]
    side = int((size * pixels_a_byte) ** 0.5)
    target = io.BytesIO()
    noise = Image.effect_noise((side, side), 80).point([(value + number) % 256 for value in range(256)])
    noise.save(target, kind, **({"quality": 95} if kind != "png" else {}))
    return kind, target.getvalue()


@asynccontextmanager
async def origin(manners: Manners) -> AsyncIterator[str]:
    """An origin in a process of its own; its address."""
    words = [sys.executable, "-m", "tests.benchmarks.origin", json.dumps(asdict(manners))]
    running = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    try:
        assert running.stdout
        yield (await running.stdout.readline()).decode().strip()
    finally:
        running.terminate()
        await running.wait()


def told(url: str) -> dict[str, Any]:
    """What the origin counted: requests for `pages` and `lists`, faults by name, and connections that brought pages."""
    counted: dict[str, Any] = httpx.get(f"{url}/told").json()
    return counted


def digests(url: str) -> set[str]:
    """Of all pages that the origin has, as SHA-256 in hexadecimal."""
    return set(httpx.get(f"{url}/digests").json())


async def _serve(manners: Manners) -> None:
    server = Origin(manners)
    async with server.open():
        sys.stdout.write(f"{server.url}\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(Manners(**json.loads(sys.argv[1]))))
