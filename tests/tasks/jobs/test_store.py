"""Records, leases and fences, on a real Redis."""

import time
from collections.abc import AsyncIterator, Callable

import pytest

from bot.settings import BotSettings
from tasks import supervisor as supervisor_module
from tasks.dispatch import Dispatch, open_dispatch
from tasks.errors import GaveWay, JobCancelled, LeaseLost, NoChapters, TooManyChapters, TooManyJobs
from tasks.jobs import store as store_module
from tasks.jobs.job import ArchiveFile, Failure, JobState, Progress, Result
from tasks.jobs.store import JobStore, Lease
from tasks.models import Chapter, DownloadRequest
from tasks.supervisor import SWEEPS_IN_VAIN, Supervisor
from tests.conftest import on_database

RESULT = Result(files=(ArchiveFile(name="x.zip", size=1, chapters=("1",), pages=1),))


def request(*chapters: str) -> DownloadRequest:
    return DownloadRequest(source="demo", title="T", chapters=tuple(Chapter(id=one) for one in chapters))


async def new_job(store: JobStore, *chapters: str, by: str = "telegram:1") -> str:
    job_id, how, _ = await store.create_or_join(request(*chapters), by, 5)
    assert how == "created"
    return job_id


async def taken(store: JobStore, job_id: str) -> Lease:
    lease, _ = await store.take_lease(job_id)
    assert lease is not None
    return lease


async def state(store: JobStore, job_id: str) -> JobState:
    job = await store.read(job_id)
    assert job is not None
    return job.state


@pytest.fixture
def settings(settings: BotSettings) -> BotSettings:
    """A database no worker listens at: jobs stay as they are."""
    return on_database(settings, 2)


@pytest.fixture
async def dispatch(settings: BotSettings, store: JobStore) -> AsyncIterator[Dispatch]:
    async with open_dispatch(settings, store) as front_door:
        yield front_door


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the store's clock forward by so many seconds."""
    ahead = 0.0

    def forward(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + ahead)
    return forward


async def test_who_may_go_on_is_told_without_a_word_in_the_record(store: JobStore) -> None:
    job_id = await new_job(store, "1")
    lease = await taken(store, job_id)
    await store.check_lease(lease)
    await store.drop_lease(lease)
    with pytest.raises(LeaseLost):
        await store.check_lease(lease)
    lease = await taken(store, job_id)
    await store.cancel(job_id, "Mina")
    with pytest.raises(JobCancelled):
        await store.check_lease(lease)


async def test_the_same_request_joins_until_its_files_are_gone(store: JobStore) -> None:
    job_id = await new_job(store, "a")
    assert await store.create_or_join(request("a"), "telegram:2", 5) == (job_id, "joined", "")
    await store.finish(await taken(store, job_id), RESULT)
    assert await store.create_or_join(request("a"), "telegram:2", 5) == (job_id, "joined", "")
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
    assert await store.take_lease(job_id) == (None, "")
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
    assert await store.take_lease(job_id) == (None, "")


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
    job_id = await new_job(store, "a")
    assert await store.drop_lease(await taken(store, job_id))
    monkeypatch.setattr(store_module, "LEASE_SECONDS", 0.001)
    for _ in range(store_module.MAX_ATTEMPTS):
        lease = None
        while lease is None:
            lease, _ = await store.take_lease(job_id)
    while await store.has_lease(job_id):
        pass
    assert await store.take_lease(job_id) == (None, "")
    job = await store.read(job_id)
    assert job is not None
    assert job.state is JobState.FAILED
    assert job.error == Failure(code="gave_up", detail={"attempts": 5})


async def line(store: JobStore, *jobs: str) -> list[int | None]:
    line = await store.line()
    return [line[job_id].position if job_id in line else None for job_id in jobs]


async def test_places_of_one_person_are_by_arrival(store: JobStore) -> None:
    jobs = [await new_job(store, name) for name in "abc"]
    assert await line(store, *jobs) == [1, 2, 3]
    await taken(store, jobs[0])
    assert await line(store, *jobs) == [None, 1, 2]
    await store.remember_finished(60, 1)
    third = (await store.line()).get(jobs[2])
    assert third is not None
    assert (third.position, third.wait) == (2, 120)


async def test_turns_go_round_the_people(store: JobStore) -> None:
    mine = [await new_job(store, name) for name in "abc"]
    others = [await new_job(store, name, by=f"telegram:{name}") for name in "de"]
    # The first was called when nobody else was there; from then on who has had less comes first.
    assert await line(store, *mine, *others) == [1, 4, 5, 2, 3]
    lease = await taken(store, mine[0])
    assert await line(store, *mine[1:], *others) == [3, 4, 1, 2]
    await store.finish(lease, RESULT)
    for job_id in others:
        await store.finish(await taken(store, job_id), RESULT)
    later = await new_job(store, "f", by="telegram:d")
    assert await line(store, *mine[1:], later) == [1, 3, 2]


async def test_only_the_head_of_the_line_is_sent(store: JobStore) -> None:
    first, _, called = await store.create_or_join(request("a"), "telegram:1", 5)
    assert called == first
    second, _, called = await store.create_or_join(request("b"), "telegram:1", 5)
    assert called == ""
    assert await store.call_next() == ""
    assert (await store.take_lease(first))[1] == second
    await store.cancel(second, "Mina")
    assert await store.call_next() == ""
    third, _, called = await store.create_or_join(request("c"), "telegram:1", 5)
    assert called == third


async def test_who_is_to_go_first_overtakes_who_was_called(store: JobStore) -> None:
    await taken(store, await new_job(store, "a"))
    called = await new_job(store, "b")
    assert await store.called_in_vain() == called
    other, _, called_now = await store.create_or_join(request("c"), "telegram:2", 5)
    assert called_now == other
    assert await store.take_lease(called) == (None, "")
    lease, called_next = await store.take_lease(other)
    assert lease is not None
    assert called_next == called


async def test_a_second_job_gives_way_to_somebody_who_has_none(store: JobStore, clock: Callable[[float], None]) -> None:
    mine = [await taken(store, await new_job(store, name)) for name in "ab"]
    other = await new_job(store, "c", by="telegram:2")
    clock(4)
    await store.keep_lease(mine[0], Progress())
    clock(3)
    with pytest.raises(GaveWay):
        await store.keep_lease(mine[0], Progress())
    await store.keep_lease(mine[1], Progress())  # now both have the same
    with pytest.raises(LeaseLost):
        await store.finish(mine[0], RESULT)
    assert await line(store, other, mine[0].job_id) == [1, 2]
    job = await store.read(mine[0].job_id)
    assert job is not None
    assert (job.state, job.tries) == (JobState.QUEUED, 0)


async def test_a_long_turn_ends_where_others_wait(store: JobStore, clock: Callable[[float], None]) -> None:
    mine = await taken(store, await new_job(store, "a"))
    clock(300)
    await store.keep_lease(mine, Progress())
    await new_job(store, "b")  # their own next job is no reason
    clock(10)
    await store.keep_lease(mine, Progress())
    await store.call_next()
    await store.cancel(str(await store.called_in_vain()), "Mina")
    await new_job(store, "c", by="telegram:2")
    await store.keep_lease(mine, Progress())  # a free worker may still come
    clock(3)
    with pytest.raises(GaveWay):
        await store.keep_lease(mine, Progress())


async def test_events_name_the_jobs_that_changed(store: JobStore) -> None:
    before = await store.newest_event()
    job_id = await new_job(store, "a")
    await taken(store, job_id)
    seen = []
    async for event in store.events(before):
        seen.append((event.job_id, event.state))
        if len(seen) == 2:
            break
    assert seen == [(job_id, "queued"), (job_id, "downloading")]


async def test_the_head_of_the_line_without_a_message_is_sent_again(store: JobStore, dispatch: Dispatch) -> None:
    lost = await new_job(store, "b")
    supervisor = Supervisor(store, dispatch)
    for _ in range(SWEEPS_IN_VAIN - 1):
        await supervisor.sweep()
    assert await store.called_in_vain() == lost
    await supervisor.sweep()
    assert await store.called_in_vain() is None
    job = await store.read(lost)
    assert job is not None
    assert job.attempt == 2


async def test_a_job_whose_worker_is_gone_is_sent_again_at_once(
    store: JobStore, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_work = await taken(store, await new_job(store, "a"))
    monkeypatch.setattr(store_module, "LEASE_SECONDS", 0.001)
    dead = await taken(store, await new_job(store, "b"))
    while await store.has_lease(dead.job_id):
        pass
    assert await store.lost() == [dead.job_id]
    await Supervisor(store, dispatch).sweep()
    assert await store.lost() == []
    assert await state(store, dead.job_id) is JobState.QUEUED
    assert await state(store, at_work.job_id) is JobState.DOWNLOADING
    # The worker was not dead after all, only Redis was away: it goes on, and the message finds it at work.
    await store.keep_lease(dead, Progress())
    assert await state(store, dead.job_id) is JobState.DOWNLOADING
    await store.finish(dead, RESULT)


async def test_after_a_silence_of_the_server_nobody_is_taken_for_dead(
    store: JobStore, dispatch: Dispatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    lease = await taken(store, await new_job(store, "a"))
    await store._redis.delete(f"manhwa:job:{lease.job_id}:lease")  # noqa: SLF001 - it ran out meanwhile
    monkeypatch.setattr(supervisor_module, "SERVER_AWAY", -1.0)
    supervisor = Supervisor(store, dispatch)
    await supervisor.sweep_if_due()
    monkeypatch.setattr(supervisor_module, "SERVER_AWAY", 1000.0)
    await supervisor.sweep_if_due()
    assert await store.lost() == [lease.job_id]
    monkeypatch.setattr(supervisor_module, "SERVER_SETTLES", 0)
    await Supervisor(store, dispatch).sweep_if_due()
    assert await store.lost() == []


async def test_a_worker_that_was_killed_at_the_hard_limit_ends_its_job(
    store: JobStore, dispatch: Dispatch, settings: BotSettings, clock: Callable[[float], None]
) -> None:
    lease = await taken(store, await new_job(store, "a"))
    await store._redis.delete(f"manhwa:job:{lease.job_id}:lease")  # noqa: SLF001 - it ran out
    clock(settings.task_time_limit + 1)
    await Supervisor(store, dispatch).sweep()
    job = await store.read(lease.job_id)
    assert job is not None
    assert job.state is JobState.FAILED
    assert job.error == Failure(code="time_is_up", detail={"seconds": settings.task_time_limit})


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
