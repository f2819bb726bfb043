"""Records, leases and fences, on a real Redis."""

from collections.abc import AsyncIterator

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tasks.dispatch import Dispatch, open_dispatch
from tasks.errors import JobCancelled, LeaseLost, NoChapters, TooManyChapters, TooManyJobs
from tasks.jobs import store as store_module
from tasks.jobs.job import ArchiveFile, Failure, JobState, Progress, Result
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest
from tasks.supervisor import SWEEPS_ALONE, Supervisor

RESULT = Result(files=(ArchiveFile(name="x.zip", size=1, chapters=("1",), pages=1),))


def request(*chapters: str) -> DownloadRequest:
    return DownloadRequest(source="demo", title="T", chapters=tuple(Chapter(id=one) for one in chapters))


async def new_job(store: JobStore, *chapters: str, by: str = "telegram:1") -> str:
    job_id, how = await store.create_or_join(request(*chapters), by, 5)
    assert how == "created"
    return job_id


async def taken(store: JobStore, job_id: str) -> Lease:
    lease = await store.take_lease(job_id)
    assert lease is not None
    return lease


async def state(store: JobStore, job_id: str) -> JobState:
    job = await store.read(job_id)
    assert job is not None
    return job.state


@pytest.fixture
def settings(settings: BotSettings) -> BotSettings:
    """A database no worker listens at: jobs stay as they are."""
    return settings.model_copy(
        update={"celery_broker_url": SecretStr(f"redis+socket://{settings.redis_socket}?virtual_host=2")}
    )


@pytest.fixture
async def dispatch(settings: BotSettings, store: JobStore) -> AsyncIterator[Dispatch]:
    async with open_dispatch(settings, store) as front_door:
        yield front_door


async def test_the_same_request_joins_until_its_files_are_gone(store: JobStore) -> None:
    job_id = await new_job(store, "a")
    assert await store.create_or_join(request("a"), "telegram:2", 5) == (job_id, "joined")
    await store.finish(await taken(store, job_id), RESULT)
    assert await store.create_or_join(request("a"), "telegram:2", 5) == (job_id, "joined")
    assert await store.collect(job_id)
    assert not await store.collect(job_id)
    assert await new_job(store, "a") != job_id


async def test_a_failed_or_cancelled_job_is_not_joined(store: JobStore) -> None:
    failed = await new_job(store, "a")
    await store.fail(await taken(store, failed), Failure(code="disk_full"))
    cancelled = await new_job(store, "a")
    assert await store.cancel(cancelled, "Mina")
    assert not await store.cancel(cancelled, "Mina")
    assert await new_job(store, "a") not in {failed, cancelled}


async def test_a_quota_counts_open_jobs_of_one_person(store: JobStore) -> None:
    jobs = [await new_job(store, str(n)) for n in range(5)]
    with pytest.raises(TooManyJobs) as refused:
        await store.create_or_join(request("one more"), "telegram:1", 5)
    assert refused.value.detail == {"limit": 5}
    await new_job(store, "one more", by="telegram:2")
    await store.cancel(jobs[0], "Mina")
    await new_job(store, "yet another")


async def test_one_worker_at_a_time_and_an_old_fence_writes_nothing(store: JobStore) -> None:
    job_id = await new_job(store, "a")
    old = await taken(store, job_id)
    assert await store.take_lease(job_id) is None
    assert await store.drop_lease(old)
    young = await taken(store, job_id)
    assert young.fence > old.fence
    for write in (
        store.keep_lease(old, Progress()),
        store.start_packing(old, Progress()),
        store.finish(old, RESULT),
        store.fail(old, Failure(code="disk_full")),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert await state(store, job_id) is JobState.DOWNLOADING
    await store.finish(young, RESULT)
    assert await state(store, job_id) is JobState.READY
    assert await store.take_lease(job_id) is None


async def test_a_cancelled_job_tells_its_worker(store: JobStore) -> None:
    job_id = await new_job(store, "a")
    lease = await taken(store, job_id)
    await store.cancel(job_id, "Mina")
    with pytest.raises(JobCancelled):
        await store.keep_lease(lease, Progress())
    with pytest.raises(JobCancelled):
        await store.finish(lease, RESULT)
    assert await state(store, job_id) is JobState.CANCELLED


async def test_lost_workers_count_and_stopped_ones_do_not(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "LEASE_SECONDS", 0.001)
    job_id = await new_job(store, "a")
    await store.drop_lease(await taken(store, job_id))
    for _ in range(store_module.MAX_ATTEMPTS):
        lease = None
        while lease is None:
            lease = await store.take_lease(job_id)
    while await store.has_lease(job_id):
        pass
    assert await store.take_lease(job_id) is None
    job = await store.read(job_id)
    assert job is not None
    assert job.state is JobState.FAILED
    assert job.error == Failure(code="gave_up", detail={"attempts": 5})


async def test_places_in_line_are_by_arrival(store: JobStore) -> None:
    jobs = [await new_job(store, name) for name in "abc"]
    places = [await store.place(job_id) for job_id in jobs]
    assert [place and place.position for place in places] == [1, 2, 3]
    await taken(store, jobs[0])
    assert await store.place(jobs[0]) is None
    await store.remember_duration(60)
    third = await store.place(jobs[2])
    assert third is not None
    assert (third.position, third.wait) == (2, 120)


async def test_events_name_the_jobs_that_changed(store: JobStore) -> None:
    before = await store.newest_event()
    job_id = await new_job(store, "a")
    await taken(store, job_id)
    seen = []
    async for changed in store.events(before):
        seen.append(changed)
        if len(seen) == 2:
            break
    assert seen == [job_id, job_id]


async def test_what_nobody_has_is_sent_again(store: JobStore, dispatch: Dispatch) -> None:
    in_queue = (await dispatch.submit(request("a"), "telegram:1")).job_id
    lost_message = await new_job(store, "b")
    at_work = await new_job(store, "c")
    await taken(store, at_work)
    supervisor = Supervisor(store, dispatch)
    for _ in range(SWEEPS_ALONE - 1):
        await supervisor.sweep()
    assert await store.jobs_alone() == [lost_message]
    await supervisor.sweep()
    assert await store.jobs_alone() == []
    job = await store.read(lost_message)
    assert job is not None
    assert job.celery_id == f"{lost_message}.2"
    assert (await store.read(in_queue)) is not None


async def test_one_process_supervises_at_a_time(store: JobStore, settings: BotSettings) -> None:
    assert await store.may_supervise(30)
    assert await store.may_supervise(30)
    assert not await JobStore(store._redis).may_supervise(30)  # noqa: SLF001 - as another process would


async def test_requests_beyond_the_limits_start_nothing(dispatch: Dispatch) -> None:
    with pytest.raises(NoChapters):
        await dispatch.submit(request(), "telegram:1")
    with pytest.raises(TooManyChapters):
        await dispatch.submit(request(*map(str, range(201))), "telegram:1")
    first = await dispatch.submit(request("a", "a", "b"), "telegram:1")
    assert (await dispatch.submit(request("a", "b"), "telegram:2")).job_id == first.job_id
