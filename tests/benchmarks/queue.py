"""The queue: jobs a second where a job is next to nothing, and what Celery alone would do."""

import time
from pathlib import Path
from statistics import median

from celery import Celery

from tests.benchmarks.download import consumet, together
from tests.benchmarks.installation import Installation, installation
from tests.benchmarks.origin import Manners, origin
from tests.benchmarks.report import Figure

JOBS = 100
TASKS = 400


async def queue(folder: Path, rounds: int) -> list[Figure]:
    """Jobs of two chapters with a tiny page each, end to end, and tasks that do nothing."""
    manners = Manners(page_bytes=2000, pages=1)
    async with origin(manners) as url, installation(folder, **consumet(url)) as at, at.workers(1, processes=2):
        await together(at, 4)
        jobs = median([JOBS / await together(at, JOBS) for _ in range(rounds)])
        tasks = median([TASKS / _nothing(at) for _ in range(rounds)])
    return [
        Figure("tiny jobs, end to end, a second", jobs),
        Figure("  one job, of one process", 2000 / jobs, "ms"),
        Figure("Celery's tasks that do nothing, a second", tasks),
        Figure("  share of it in a job", jobs / tasks),
    ]


def _nothing(at: Installation) -> float:
    """Seconds that Celery's own task, which only hands back what it got, takes so many times."""
    with Celery("bench", broker=at.settings.broker_url, backend=at.settings.result_backend) as celery:
        started = time.monotonic()
        sent = [celery.send_task("celery.accumulate", args=[1], queue="downloads") for _ in range(TASKS)]
        for result in sent:
            result.get(timeout=60)
        return time.monotonic() - started
