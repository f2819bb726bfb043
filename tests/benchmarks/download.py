"""Download and pack, through the queue: against the floor and the bound, with faults, limits, more workers and larger jobs."""

import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median

from tests.benchmarks.floor import Cost, bound, floor
from tests.benchmarks.installation import Installation, installation, quiet_disk, seconds
from tests.benchmarks.origin import PAGES, Manners, digests, origin, told
from tests.benchmarks.report import Figure

WIRE = Manners(latency=80, jitter=20, cap=8)
"""The one of FACTS: 80 ms away, eight megabytes a second of each connection."""
LOCAL = Manners()
WARM = 10_000
"""A chapter that nothing is measured of: the first job of a worker pays for what every later one has."""


@dataclass
class Runs:
    """The same work several times: ours through the queue, and the floor's."""

    ours: list[float] = field(default_factory=list)
    cpu: list[float] = field(default_factory=list)
    floors: list[Cost] = field(default_factory=list)
    bytes: int = 0
    written: list[int] = field(default_factory=list)

    @property
    def floor(self) -> float:
        return median(cost.wall for cost in self.floors)

    @property
    def floor_cpu(self) -> float:
        return median(cost.cpu for cost in self.floors)


async def one(at: Installation, chapters: Sequence[int], source: str = "mangapill") -> tuple[float, int]:
    """Seconds that a job of these chapters took, and its pages' bytes. Its files are removed."""
    job = await at.ended(await at.submit(chapters, source))
    await at.dispatch.let_go(job.id)
    return seconds(job), job.progress.bytes


async def compare(url: str, at: Installation, folder: Path, chapters: int, rounds: int) -> Runs:
    """Ours and the floor's in turns, each with a disk that has nothing to do."""
    runs = Runs()
    for n in range(rounds):
        quiet_disk()
        runs.floors.append(await floor(url, chapters, folder / str(n)))
        shutil.rmtree(folder / str(n))
        quiet_disk()
        before, written = at.cpu(), at.written()
        wall, runs.bytes = await one(at, range(chapters))
        runs.cpu.append(at.cpu() - before)
        runs.written.append(at.written() - written)
        runs.ours.append(wall)
    return runs


def consumet(url: str, **more: str) -> dict[str, str]:
    """Settings of an installation whose only source is the origin, and which keeps no chapters."""
    return {"MANGAPI_URL": url, "CONSUMET_PROVIDERS": "mangapill", "CACHE_LIMIT_MB": "0", **more}


async def wire(folder: Path, rounds: int) -> list[Figure]:
    """80 ms away: a small job and a large one."""
    async with origin(WIRE) as url, installation(folder, **consumet(url)) as at, at.workers(1):
        await one(at, [WARM])
        small = await compare(url, at, folder / "small", 7, rounds)
        large = await compare(url, at, folder / "large", 40, rounds)
    small_bound = bound(WIRE, 7, small.bytes) + WIRE.latency / 1000
    large_bound = bound(WIRE, 40, large.bytes)
    return [
        Figure(f"7 chapters, {small.bytes / 1e6:.0f} MB", median(small.ours), "s"),
        Figure("  × (bound + one API round)", median(small.ours) / small_bound, "×", 1.10),
        Figure("  × floor", median(small.ours) / small.floor, "×"),
        Figure("  CPU × curl + zip", median(small.cpu) / small.floor_cpu, "×"),
        Figure(f"40 chapters, {large.bytes / 1e6:.0f} MB", median(large.ours), "s"),
        Figure("  × bound", median(large.ours) / large_bound, "×", 1.05),
        Figure("  × floor", median(large.ours) / large.floor, "×", 0.88),
        Figure("  CPU × curl + zip", median(large.cpu) / large.floor_cpu, "×", 0.75),
        Figure("  written to the disk × pages", median(large.written) / large.bytes, "×", 1.05),
        Figure("  CPU a GB", median(large.cpu) / large.bytes * 1e9, "s"),
        Figure("  floor's CPU a GB", large.floor_cpu / large.bytes * 1e9, "s"),
    ]


async def without_latency(folder: Path, rounds: int) -> list[Figure]:
    """Next to the source: what the program itself costs."""
    async with origin(LOCAL) as url, installation(folder, **consumet(url)) as at, at.workers(1):
        await one(at, [WARM])
        runs = await compare(url, at, folder / "runs", 40, rounds)
    return [
        Figure(f"40 chapters, {runs.bytes / 1e6:.0f} MB, no latency", median(runs.ours), "s"),
        Figure("  × floor", median(runs.ours) / runs.floor, "×", 0.65),
        Figure("  CPU × curl + zip", median(runs.cpu) / runs.floor_cpu, "×"),
        Figure("  MB a second", runs.bytes / median(runs.ours) / 1e6),
    ]


async def faults(folder: Path, rounds: int) -> list[Figure]:
    """Six of a hundred answers are errors, cut short or a 429 that wants a second's pause: all pages, each exact."""
    return [*await _faults(folder / "6", 6, rounds), *await _faults(folder / "40", 40, math.ceil(rounds / 2))]


async def _faults(folder: Path, chapters: int, rounds: int) -> list[Figure]:
    walls: dict[bool, float] = {}
    missing, counted = 0, {}
    for faulty in (False, True):
        manners = replace(WIRE, faulty=faulty)
        async with (
            origin(manners) as url,
            installation(folder / str(faulty), **consumet(url)) as at,
            at.workers(1),
        ):
            await one(at, [WARM])
            times = []
            for _ in range(rounds):
                job = await at.ended(await at.submit(range(chapters)))
                times.append(seconds(job))
                missing += chapters * PAGES - (job.result.pages if job.result else 0)
                at.check_pages(job, digests(url))
                await at.dispatch.let_go(job.id)
            walls[faulty], counted = median(times), told(url)
    return [
        Figure(f"{chapters} chapters, faults met", sum(counted.get(name, 0) for name in ("500", "cut", "429"))),
        Figure("  pages missing or not exact", missing, "", 0),
        Figure("  with faults × without", walls[True] / walls[False], "×", 1.5),
    ]


async def limits(folder: Path, _: int) -> list[Figure]:
    """MangaDex's limits, which the origin enforces: two workers with a job each share 40 page lists a minute."""
    each, manners = 50, replace(WIRE, lookups_a_minute=40)
    async with origin(manners) as url:
        settings = {"MANGADEX_API_URL": url, "CACHE_LIMIT_MB": "0", "SOURCE_RATE_LIMIT": "5"}
        async with installation(folder, **settings) as at, at.workers(2):
            jobs = [await at.submit(range(n * each, (n + 1) * each), "mangadex") for n in range(2)]
            ended = [await at.ended(job) for job in jobs]
        refused = told(url).get("429", 0)
    took = max(job.ended_at or 0 for job in ended) - min(job.started_at or 0 for job in ended)
    # The last of the lists may be asked for when two whole minutes have passed; five a second, and then its pages.
    left = 2 * each - 80
    least = 120 + left / 5 + bound(WIRE, 1, ended[0].progress.bytes // each)
    return [
        Figure("two workers, 100 page lists, answers 429", refused, "", 0),
        Figure("  × the limit's own bound", took / least, "×", 1.05),
    ]


async def memory(folder: Path, _: int) -> list[Figure]:
    """A worker's peak, by the size of the job and of its pages; each in a worker that did nothing else."""
    peaks: dict[str, float] = {}
    for name, chapters, size in (("1", 1, 400_000), ("6", 6, 400_000), ("200", 200, 400_000), ("4 MB", 6, 4_000_000)):
        manners = replace(LOCAL, page_bytes=size)
        async with origin(manners) as url, installation(folder / name, **consumet(url)) as at, at.workers(1):
            await one(at, range(chapters))
            peaks[name] = at.peak()
    return [
        Figure("peak of a worker's process, 1 chapter", peaks["1"], "MB"),
        Figure("  6 chapters", peaks["6"], "MB", 80),
        Figure("  200 chapters", peaks["200"], "MB", 80),
        Figure("  200 chapters × 6 chapters", peaks["200"] / peaks["6"], "×", 1.05),
        Figure("  pages of 4 MB × of 0.4 MB", peaks["4 MB"] / peaks["6"], "×", 1.25),
    ]


async def workers(folder: Path, rounds: int) -> list[Figure]:
    """The same jobs with one, two and four workers; each job waits for its source nearly all the time."""
    walls: dict[int, float] = {}
    manners = Manners(latency=200, page_bytes=20_000)
    async with origin(manners) as url, installation(folder, **consumet(url, DOWNLOAD_CONCURRENCY="4")) as at:
        for number in (1, 2, 4):
            async with at.workers(number):
                await together(at, 2 * number)  # so that each has had one
                walls[number] = median([await together(at, 8) for _ in range(math.ceil(rounds / 2))])
    return [
        Figure("8 jobs that wait, one worker", walls[1], "s"),
        Figure("  two workers, times as fast", walls[1] / walls[2], "×", 1.9, at_least=True),
        Figure("  four workers, times as fast", walls[1] / walls[4], "×"),
    ]


async def together(at: Installation, jobs: int) -> float:
    """Seconds until so many jobs that are submitted at once have ended."""
    started = time.monotonic()
    for job in [await at.submit([2 * n, 2 * n + 1]) for n in range(jobs)]:
        await at.ended(job)
    return time.monotonic() - started
