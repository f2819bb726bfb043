"""What goes from the disk, and what stays, on a real Redis."""

import time
from pathlib import Path

import pytest

from bot.settings import BotSettings
from tasks import janitor, supervisor
from tasks.jobs import store as store_module
from tasks.jobs.job import ArchiveFile, Failure, Result
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest
from tasks.storage import open_storage
from tasks.workspace import Workspace
from tests.conftest import on_database
from tests.s3_server import S3Server

RESULT = Result(files=(ArchiveFile(name="x.zip", size=1, chapters=("1",), pages=1),))


@pytest.fixture
def settings(settings: BotSettings) -> BotSettings:
    """A database no worker listens at: jobs stay as they are."""
    return on_database(settings, 2)


class Shop:
    """Jobs with a file each."""

    def __init__(self, store: JobStore, settings: BotSettings) -> None:
        self.store = store
        self.workspace = Workspace(settings)

    async def job(self, name: str) -> str:
        request = DownloadRequest(source="demo", title=name, chapters=(Chapter(id=name),))
        job_id, _, _ = await self.store.create_or_join(request, f"person:{name}", 5)
        self.file_of(job_id)
        return job_id

    async def taken(self, name: str) -> Lease:
        lease, _ = await self.store.take_lease(await self.job(name))
        assert lease
        return lease

    def file_of(self, job_id: str) -> Path:
        path = self.workspace.folder(job_id).file("x.zip")
        path.write_bytes(b"x")
        return path


@pytest.fixture
def shop(store: JobStore, settings: BotSettings) -> Shop:
    return Shop(store, settings)


async def test_a_sweep_takes_what_nobody_needs(
    shop: Shop, settings: BotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = (await shop.taken("at work")).job_id
    ready = await shop.taken("ready")
    await shop.store.finish(ready, RESULT)
    failed = await shop.taken("failed")
    await shop.store.fail(failed, Failure(code="disk_full"))
    still_leaving = await shop.taken("cancelled, and its worker is about to leave the folder")
    await shop.store.cancel(still_leaving.job_id, "Mina")
    queued, cancelled = await shop.job("queued"), await shop.job("cancelled")
    await shop.store.cancel(cancelled, "Mina")
    shop.file_of("0123456789abcdef")  # no record of it
    stranger = settings.data_path / "jobs" / "notes"
    stranger.mkdir()
    assert await janitor.sweep(settings) == 3
    assert set(shop.workspace.job_ids()) == {queued, at_work, ready.job_id, still_leaving.job_id}
    assert stranger.exists()
    # A day later nobody has fetched the files; the jobs that are open are still somebody's.
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + janitor.UNCOLLECTED_SECONDS + 1)
    await shop.store.drop_lease(still_leaving)
    assert await janitor.sweep(settings) == 2
    assert set(shop.workspace.job_ids()) == {queued, at_work}


async def test_a_sweep_takes_what_is_left_in_the_bucket(shop: Shop, settings: BotSettings, s3: S3Server) -> None:
    settings = s3.used_by(settings, "janitor")
    storage = open_storage(settings)
    ready, killed = await shop.taken("ready"), await shop.taken("killed over its upload, and then cancelled")
    for lease in (ready, killed):
        await storage.put(shop.workspace.folder(lease.job_id, lease.fence), RESULT)
        shop.workspace.remove(lease.job_id)
    await shop.store.finish(ready, RESULT)
    await shop.store.cancel(killed.job_id, "Mina")
    await shop.store.drop_lease(killed)
    assert await janitor.sweep(settings) == 1
    assert s3.objects("janitor") == [f"{ready.job_id}/1-1/00000"]
    await janitor.clean_up(ready.job_id, settings)
    assert s3.objects("janitor") == []


async def test_a_disk_is_swept_where_the_bucket_is_away(shop: Shop, settings: BotSettings, s3: S3Server) -> None:
    settings = s3.used_by(settings, "janitor").model_copy(update={"aws_endpoint_url": "http://127.0.0.1:9"})
    failed, at_work = await shop.taken("failed"), await shop.taken("at work")
    await shop.store.fail(failed, Failure(code="disk_full"))
    assert await janitor.sweep_disk(settings) == 1
    assert shop.workspace.job_ids() == [at_work.job_id]


async def test_cleaning_up_leaves_an_open_job_alone(shop: Shop, settings: BotSettings) -> None:
    lease = await shop.taken("at work")
    await janitor.clean_up(lease.job_id, settings)
    assert shop.workspace.job_ids() == [lease.job_id]
    await shop.store.finish(lease, RESULT)
    await janitor.clean_up(lease.job_id, settings)
    assert shop.workspace.job_ids() == []


async def test_what_is_ready_is_forgotten_with_its_record(store: JobStore, shop: Shop) -> None:
    await store.finish(await shop.taken("ready"), RESULT)
    redis = store._redis  # noqa: SLF001 - looks at what it keeps
    keys = [key async for key in redis.scan_iter("manhwa:job*:????????????????*") if "served" not in key]
    ages = [await redis.ttl(key) for key in keys]
    assert len(ages) == 2
    assert all(0 < age <= store_module.KEEP_ENDED_SECONDS for age in ages)


async def test_a_sweep_sends_lost_jobs_again_where_no_bot_does(
    shop: Shop, settings: BotSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "SERVER_SETTLES", 0)
    monkeypatch.setattr(store_module, "LEASE_SECONDS", 0.001)
    lost = await shop.taken("its worker died")
    called = await shop.job("its message was lost")
    while await shop.store.has_lease(lost.job_id):
        pass
    assert (await shop.store.lost(), await shop.store.called_in_vain()) == ([lost.job_id], called)
    await janitor.sweep(settings)
    assert (await shop.store.lost(), await shop.store.called_in_vain()) == ([], None)
    assert set(shop.workspace.job_ids()) == {lost.job_id, called}
