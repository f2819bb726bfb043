"""The floor: curl over 16 connections, then `zip -0`, on the same pages; and the bound that no program can go below."""

import asyncio
import math
import resource
import time
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.benchmarks.origin import PAGES, Manners

CONNECTIONS = 16


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock and of CPU, and how many bytes came."""

    wall: float
    cpu: float
    bytes: int


async def floor(url: str, chapters: int, folder: Path) -> Cost:
    """Fetch the pages of the first chapters with curl, which is told their addresses, and zip them."""
    lines = []
    for chapter in range(chapters):
        listed = httpx.get(f"{url}/manga/mangapill/read", params={"chapterId": f"c{chapter}"}).json()
        lines += [f'url = "{page["img"]}"\noutput = "{chapter}/{n}.img"' for n, page in enumerate(listed)]
    folder.mkdir(parents=True)
    addresses = folder / "addresses"
    addresses.write_text("\n".join(lines))
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    fetch = f"curl -sS --parallel --parallel-immediate --parallel-max {CONNECTIONS} --create-dirs -K addresses"
    await _run(f"{fetch} 2>/dev/null && zip -0 -q -r out.zip . -x addresses", folder)
    wall, after = time.monotonic() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, cpu, sum(file.stat().st_size for file in folder.rglob("*.img")))


async def _run(command: str, folder: Path) -> None:
    running = await asyncio.create_subprocess_shell(command, cwd=folder)
    if await running.wait():
        raise SystemExit(f"the floor needs curl and zip: {command}")


def bound(manners: Manners, chapters: int, size: int) -> float:
    """Seconds: the bytes through all connections, and the latency of as many rounds as the pages need."""
    rounds = math.ceil(chapters * PAGES / CONNECTIONS)
    return rounds * manners.latency / 1000 + (size / (CONNECTIONS * manners.cap * 1e6) if manners.cap else 0.0)
