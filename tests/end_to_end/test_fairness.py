"""Two workers and five people, one of whom asks for everything."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest

from bot.settings import BotSettings
from tasks.dispatch import Dispatch, open_dispatch
from tasks.jobs.job import JobState
from tasks.jobs.store import JobStore
from tasks.models import Chapter, DownloadRequest
from tasks.resources import open_redis
from tasks.supervisor import Supervisor
from tests.conftest import StartWorker, on_database
from tests.end_to_end.shelf import Shelf, image
from tests.person import soon
from tests.web_server import WebServer

JOBS_OF_ONE, CHAPTERS_OF_A_JOB = 4, 25


@pytest.fixture
async def store(settings: BotSettings) -> AsyncIterator[JobStore]:
    """A queue apart from that of other tests' workers."""
    async with open_redis(on_database(settings, 1).redis_url) as redis:
        yield JobStore(redis)


@pytest.fixture
async def dispatch(settings: BotSettings, store: JobStore) -> AsyncIterator[Dispatch]:
    async with open_dispatch(on_database(settings, 1), store) as front_door:
        supervising = asyncio.create_task(Supervisor(store, front_door).run())
        yield front_door
        supervising.cancel()
        await asyncio.wait({supervising})


def request(first: int, chapters: int) -> DownloadRequest:
    ids = [Shelf.chapter(n) for n in range(first, first + chapters)]
    return DownloadRequest(source="mangapill", title="Harbour Lights", chapters=tuple(Chapter(id=i) for i in ids))


class Finishes:
    """The order in which jobs get ready."""

    def __init__(self, store: JobStore) -> None:
        self._store = store
        self.order: list[str] = []

    async def watch(self, after: str) -> None:
        async for event in self._store.events(after):
            if event.state == JobState.READY and event.job_id not in self.order:
                self.order.append(event.job_id)


async def test_one_hundred_chapters_of_one_keep_nobody_waiting_for_all_of_them(
    store: JobStore, dispatch: Dispatch, settings: BotSettings, source_server: WebServer, start_worker: StartWorker
) -> None:
    """No job of the first person can end before all others have what they asked for: in a queue by arrival nobody would."""
    shelf = Shelf(source_server, JOBS_OF_ONE * CHAPTERS_OF_A_JOB + 4)
    let_go = threading.Event()
    for job in range(JOBS_OF_ONE):
        chapter = job * CHAPTERS_OF_A_JOB + 1
        shelf.has(chapter, 1, image(shelf.pictures[f"{chapter}-1"], wait_for=let_go))
    finishes = Finishes(store)
    watching = asyncio.create_task(finishes.watch(await store.newest_event()))
    environment = {
        "MANGAPI_URL": source_server.url,
        "CONSUMET_PROVIDERS": "mangapill",
        "CELERY_BROKER_URL": on_database(settings, 1).broker_url,
    }
    with start_worker("fair", **environment):
        greedy = [
            (await dispatch.submit(request(job * CHAPTERS_OF_A_JOB + 1, CHAPTERS_OF_A_JOB), "person:1")).job_id
            for job in range(JOBS_OF_ONE)
        ]
        await soon(lambda: source_server.count("/1-1.jpg") and source_server.count("/26-1.jpg"), "both workers busy")
        first_free = JOBS_OF_ONE * CHAPTERS_OF_A_JOB + 1
        others = [(await dispatch.submit(request(first_free + n, 1), f"person:{n + 2}")).job_id for n in range(4)]
        await soon(lambda: len(finishes.order) == 4, "what the others asked for")
        let_go.set()
        await soon(lambda: len(finishes.order) == 4 + JOBS_OF_ONE, "the rest")
    watching.cancel()
    assert finishes.order[:4] == others
    assert set(finishes.order[4:]) == set(greedy)
