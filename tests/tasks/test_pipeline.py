"""Work that nobody waits for any more: in a thread, and of a worker that was taken for dead."""

import asyncio
import threading

import pytest

from bot.settings import BotSettings
from tasks import pipeline
from tasks.archives.zip import Checkpoint
from tasks.cache import cache_key
from tasks.errors import LeaseLost
from tasks.jobs.job import JobState, Progress
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest, Quality
from tasks.pipeline import _in_thread
from tasks.workspace import Workspace
from tests.conftest import on_database
from tests.end_to_end.shelf import Shelf
from tests.person import soon
from tests.web_server import Reply, WebServer


async def test_a_cancelled_thread_is_out_before_anything_else_happens() -> None:
    begun, ended = threading.Event(), threading.Event()

    def work(checkpoint: Checkpoint) -> None:
        begun.set()
        try:
            while True:
                checkpoint()
        finally:
            ended.set()

    task = asyncio.create_task(_in_thread(work))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def report(_state: JobState, _progress: Progress) -> None:
    """Nobody looks."""


@pytest.fixture
def settings(settings: BotSettings) -> BotSettings:
    """A database no worker listens at."""
    return on_database(settings, 2)


@pytest.mark.parametrize("folder_goes", [False, True], ids=["at its work", "done with it"])
async def test_a_worker_that_was_cut_off_harms_nobody_who_took_over(
    settings: BotSettings,
    store: JobStore,
    source_server: WebServer,
    monkeypatch: pytest.MonkeyPatch,
    folder_goes: bool,
) -> None:
    monkeypatch.setattr(pipeline, "RENEW_SECONDS", 3600.0)  # it hears nothing of Redis while it works
    shelf, let_go = Shelf(source_server), threading.Event()
    last = shelf.pictures["1-2"] if folder_goes else b"gone"
    shelf.lists(1, f"{source_server.url}/1-1.jpg", f"{source_server.url}/1-2.jpg")
    shelf.has(1, 1, Reply(status=404))
    shelf.has(1, 2, Reply(last, status=200 if folder_goes else 404, content_type="image/jpeg", wait_for=let_go))
    settings = settings.model_copy(update={"mangapi_url": source_server.url, "consumet_providers": ("mangapill",)})
    request = DownloadRequest(source="mangapill", title="T", chapters=(Chapter(id=shelf.chapter(1)),))
    job_id, _, _ = await store.create_or_join(request, "telegram:1", 5)

    cut_off = asyncio.create_task(pipeline.run(job_id, settings, report))
    await soon(lambda: shelf.server.count("/1-2.jpg"), "the page asked for")
    first = await store.read(job_id)
    assert first
    assert await store.drop_lease(Lease(job_id, first.fence))
    lease, _ = await store.take_lease(job_id)
    assert lease
    workspace = Workspace(settings)
    made = workspace.folder(job_id, lease.fence).path / "made by the other"
    if folder_goes:
        workspace.remove(job_id)
    else:
        made.write_text("half a job")
    let_go.set()
    with pytest.raises(LeaseLost):
        await cut_off
    assert made.exists() != folder_goes


async def test_what_others_have_is_not_kept_for_them_once_more(
    settings: BotSettings, store: JobStore, source_server: WebServer
) -> None:
    shelf = Shelf(source_server)
    settings = settings.model_copy(update={"mangapi_url": source_server.url, "consumet_providers": ("mangapill",)})
    chapters = tuple(Chapter(id=shelf.chapter(number)) for number in (1, 2))
    for wanted in (chapters[:1], chapters):
        request = DownloadRequest(source="mangapill", title="T", chapters=wanted)
        job_id, _, _ = await store.create_or_join(request, "telegram:1", 5)
        assert await pipeline.run(job_id, settings, report)
    assert source_server.count("/1-1.jpg") == 1
    kept = Workspace(settings).chapters / cache_key("mangapill", chapters[1], Quality.ORIGINAL)
    assert sorted(file.name for file in kept.iterdir()) == ["index.json", "pages.1"]
