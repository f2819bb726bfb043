"""The jobs' records in Redis. Every write that decides something is one call of `moves.lua`; keys are told there."""

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast

from redis.asyncio import Redis

from tasks.errors import GaveWay, JobCancelled, LeaseLost, OtherVersion, TooManyJobs
from tasks.jobs.job import VERSION, Failure, Job, JobState, Progress, Result, is_readable
from tasks.models import DownloadRequest

PREFIX = "manhwa:"
LEASE_SECONDS = 6.0
"""A worker that did not renew for this long is taken for dead; workers renew about once a second."""
MAX_ATTEMPTS = 5
"""Workers a job may take with it before it is given up."""
KEEP_ENDED_SECONDS = 7 * 24 * 3600
"""How long an ended job's record can still be read."""
NOBODY_KNOWN = "somebody"
"""Who asked for a job of a person that was forgotten."""
QUEUE, CLEANUP_QUEUE = "downloads", "cleanup"
"""Celery's lists of messages that no worker has taken yet."""
EVENTS = f"{PREFIX}jobs:events"
EVENTS_SECONDS = 0.03
"""Between two looks for events."""
JSON_FIELDS = {"progress", "result", "error"}


@dataclass(frozen=True)
class Lease:
    """The right to work at a job; every write with it is refused once another worker has a younger fence."""

    job_id: str
    fence: int


@dataclass(frozen=True)
class Place:
    """Where a queued job stands: `position` counts from 1, `wait` is a guess in seconds, None = no guess yet.

    Others may come before it who have had less; why stands in `moves.lua`.
    """

    position: int
    wait: int | None


@dataclass(frozen=True)
class Event:
    """Something about the job changed. `state` is the one it is in now; empty = not told.

    `watcher` is told where only somebody who waits for it changed; the tasks write none.
    """

    job_id: str
    state: str
    watcher: str = ""


@dataclass(frozen=True)
class Figures:
    """Jobs in line, jobs workers have, and how many came to which end: `ready`, `cancelled` or `failed:<code>`."""

    queued: int
    at_work: int
    ends: Mapping[str, int]


class JobStore:
    """Reads and moves jobs. Raises redis errors when the server stays away longer than the client waits."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._moves = redis.register_script(Path(__file__).with_name("moves.lua").read_text())
        self._process = secrets.token_hex(8)

    async def _move(self, *arguments: str | float) -> Any:
        # What each move answers stands in its line in moves.lua.
        return await self._moves(keys=[PREFIX], args=list(arguments))

    async def create_or_join(
        self, request: DownloadRequest, requester: str, max_active: int
    ) -> tuple[str, Literal["created", "joined"], str]:
        """The id of the job for this request: a new one, or the one that is already on its way or ready.

        The last is the id of the job to send a message for now, maybe another one; empty = none. Raises `TooManyJobs` when
        a new one would be the person's `max_active` + 1st.
        """
        answer = await self._move(
            "create",
            secrets.token_hex(8),
            request.key,
            requester,
            request.model_dump_json(),
            time.time(),
            max_active,
            request.source,
            VERSION,
        )
        if answer[0] == "too_many":
            raise TooManyJobs(limit=max_active)
        return answer[1], answer[0], answer[2]

    async def read(self, job_id: str) -> Job | None:
        """The job's record; None if there is none, or not any more. Raises `OtherVersion`."""
        fields = cast("Mapping[str, str]", await self._redis.hgetall(f"{PREFIX}job:{job_id}"))
        if "request" not in fields:
            return None
        try:
            version = int(fields.get("version", 1))
            if is_readable(version):
                decoded = {name: json.loads(text) if name in JSON_FIELDS else text for name, text in fields.items()}
                return Job.model_validate({**decoded, "id": job_id, "request": _request(fields["request"])})
        except ValueError as error:
            raise OtherVersion("its record can't be read") from error
        raise OtherVersion(f"its record is of version {version}")

    async def read_if_possible(self, job_id: str) -> Job | None:
        """The job's record; None as well where this release does not understand it."""
        with suppress(OtherVersion):
            return await self.read(job_id)
        return None

    async def has_ended(self, job_id: str) -> bool:
        """Whether nobody has anything to do with the job any more; told by its state alone."""
        return await self._redis.hget(f"{PREFIX}job:{job_id}", "state") in {"collected", "failed", "cancelled"}

    async def line(self) -> dict[str, Place]:
        """Where each queued job stands, by id."""
        ids = cast("list[str]", await self._move("line"))
        if not ids:
            return {}
        running = await self._redis.scard(f"{PREFIX}jobs:open") - len(ids)
        usual = float(await self._redis.get(f"{PREFIX}jobs:usual_seconds") or 0)
        return {
            job_id: Place(position, int(usual * position / max(running, 1)) or None)
            for position, job_id in enumerate(ids, start=1)
        }

    async def take_lease(self, job_id: str) -> tuple[Lease | None, str]:
        """The right to work at the job; None if it has ended, was given up, or another worker is at it.

        The other is the id of the job to send a message for now, as the head of the line is free; empty = none.
        """
        fence, called = await self._move("take", job_id, time.time(), int(LEASE_SECONDS * 1000), MAX_ATTEMPTS)
        return (Lease(job_id, fence) if fence > 0 else None), called

    async def call_next(self) -> str:
        """The id of the job to send a message for now, as its turn is next; empty = it was sent, or nobody waits."""
        return str(await self._move("call"))

    async def keep_lease(self, lease: Lease, progress: Progress | None = None) -> None:
        """Renew the lease and publish progress.

        Raises `JobCancelled`, `LeaseLost` or `GaveWay`: stop and write no more.
        """
        text = progress.model_dump_json() if progress else ""
        _obey(await self._move("keep", lease.job_id, lease.fence, time.time(), int(LEASE_SECONDS * 1000), text))

    async def check_lease(self, lease: Lease) -> None:
        """Nobody has taken over, as far as is known. Writes nothing. Raises as `keep_lease`, but for `GaveWay`."""
        _obey(await self._move("stand", lease.job_id, lease.fence))

    async def start_packing(self, lease: Lease, progress: Progress) -> None:
        """All pages are there. Raises as `keep_lease`."""
        _obey(await self._move("pack", lease.job_id, lease.fence, progress.model_dump_json()))

    async def finish(self, lease: Lease, result: Result) -> None:
        """The files are whole and in place: the job is ready. Raises as `keep_lease`."""
        await self._finish(lease, "ready", result.model_dump_json())

    async def fail(self, lease: Lease, failure: Failure) -> None:
        """The job has failed for good. Raises as `keep_lease`."""
        await self._finish(lease, "failed", failure.model_dump_json())

    async def _finish(self, lease: Lease, state: str, payload: str) -> None:
        now = time.time()
        _obey(await self._move("finish", lease.job_id, lease.fence, state, payload, KEEP_ENDED_SECONDS, now))

    async def remember_finished(self, seconds: float, chapter_bytes: float) -> None:
        """Let guesses of waiting times and sizes learn from a finished job; two at once need not both count."""
        for name, value in (("usual_seconds", seconds), ("usual_chapter_bytes", chapter_bytes)):
            key = f"{PREFIX}jobs:{name}"
            before = await self._redis.get(key)
            await self._redis.set(key, value if before is None else 0.7 * float(before) + 0.3 * value)

    async def usual_chapter_bytes(self) -> int:
        """What a chapter takes, going by the newest jobs; 0 before the first."""
        return int(float(await self._redis.get(f"{PREFIX}jobs:usual_chapter_bytes") or 0))

    async def drop_lease(self, lease: Lease) -> bool:
        """Give the job back unfinished: it is queued again for whoever takes it next."""
        return bool(await self._move("drop", lease.job_id, lease.fence, time.time()))

    async def requeue(self, job_id: str, limit: int, too_long: Failure) -> int:
        """Queue an open job that no worker has again: its new attempt's number, 0 if a worker has it or it ended.

        One whose worker had it for `limit` seconds ends with the failure `too_long` instead.
        """
        error = too_long.model_dump_json()
        return int(await self._move("requeue", job_id, time.time(), limit, error, KEEP_ENDED_SECONDS))

    async def cancel(self, job_id: str, by: str) -> bool:
        """End the job at once, whoever works at it finds out within a second; False if it had ended before."""
        return bool(await self._move("cancel", job_id, by, KEEP_ENDED_SECONDS, time.time()))

    async def collect(self, job_id: str) -> bool:
        """Nobody waits for the files of a ready job any more; False if it was not ready."""
        return bool(await self._move("collect", job_id, KEEP_ENDED_SECONDS))

    async def has_lease(self, job_id: str) -> bool:
        """Whether a worker is at it."""
        return bool(await self._redis.exists(f"{PREFIX}job:{job_id}:lease"))

    async def may_supervise(self, seconds: float) -> bool:
        """Whether this process is, for so long from now on, the one that sends lost jobs again."""
        key, me = f"{PREFIX}supervisor", self._process
        if await self._redis.set(key, me, nx=True, px=int(seconds * 1000)):
            return True
        # Two supervisors for a moment do no harm: sending a job again is atomic.
        return await self._redis.get(key) == me and bool(await self._redis.pexpire(key, int(seconds * 1000)))

    async def lost(self) -> list[str]:
        """Ids of jobs whose worker did not come to an end and renews its lease no more."""
        return sorted(cast("list[str]", await self._move("lost")))

    async def called_in_vain(self) -> str | None:
        """Id of the job at the head of the line if its message is not in the queue, or just on its way to a worker."""
        called = cast("str | None", await self._redis.get(f"{PREFIX}jobs:called"))
        if called is None or await self._redis.zscore(f"{PREFIX}jobs:queued", called) is None:
            return None
        # Celery's own list; its task ids are the jobs'.
        messages = cast("list[str]", await self._redis.lrange(QUEUE, 0, -1))
        in_queue = {_message_id(message) for message in messages}
        return None if called in in_queue else called

    async def check(self) -> None:
        """Return if the server takes writes; raises redis errors."""
        await self._redis.set(f"{PREFIX}check", "1", ex=60)

    async def waiting(self) -> dict[str, int]:
        """Jobs in line, and clean-ups that no worker has taken yet, by queue."""
        return {
            QUEUE: int(await self._redis.zcard(f"{PREFIX}jobs:queued")),
            CLEANUP_QUEUE: int(await self._redis.llen(CLEANUP_QUEUE)),
        }

    async def census(self) -> Counter[tuple[JobState, str]]:
        """How many open and ready jobs there are, by state and source."""
        found = cast("list[str]", await self._move("census"))
        return Counter((JobState(state), source) for state, source in zip(found[::2], found[1::2], strict=True))

    async def tally(self) -> dict[tuple[str, ...], float]:
        """What happened since the records began, by the words that `moves.lua` parts with `|`."""
        found = cast("dict[str, str]", await self._redis.hgetall(f"{PREFIX}tally"))
        return {tuple(words.split("|")): float(number) for words, number in found.items()}

    async def figures(self) -> Figures:
        """How many jobs there are and were."""
        ends = cast("dict[str, str]", await self._redis.hgetall(f"{PREFIX}jobs:ends"))
        queued = await self._redis.zcard(f"{PREFIX}jobs:queued")
        at_work = await self._redis.scard(f"{PREFIX}jobs:open") - queued
        return Figures(queued, at_work, {end: int(number) for end, number in sorted(ends.items())})

    async def forget(self, requester: str) -> None:
        """Remove the person's name at once, and in a minute the records of what they asked for.

        Until then those who wait are told how their jobs ended. A job that others wait for goes on.
        """
        async for key in self._redis.scan_iter(f"{PREFIX}job:{'[0-9a-f]' * 16}", count=1000):
            if await self._redis.hget(key, "requester") == requester:
                await self._move("forget", key.rpartition(":")[2], NOBODY_KNOWN, 60)

    async def server_age(self) -> int:
        """Seconds since the server was started."""
        return int((await self._redis.info("server"))["uptime_in_seconds"])

    async def newest_event(self) -> str:
        """Where the stream of events ends now; give it to `events` after reading the records."""
        newest = await self._redis.xrevrange(EVENTS, count=1)
        return cast("str", newest[0][0]) if newest else "0-0"

    async def events(self, after: str) -> AsyncIterator[Event]:
        """What happens, for ever; some may come twice or be trimmed away unread."""
        while True:
            answer = await self._redis.xread({EVENTS: after}, count=1000, block=5000)
            for _, entries in cast("list[tuple[str, list[tuple[str, dict[str, str]]]]]", answer):
                for _, fields in entries:
                    yield Event(fields["job"], fields.get("state", ""), fields.get("watcher", ""))
                after = entries[-1][0]
            # Where a thousand jobs run, a look for each of their events would cost more than all that follows from them.
            await asyncio.sleep(EVENTS_SECONDS)


def _message_id(message: str) -> str | None:
    """The id of a message; None where it is none of ours."""
    try:
        return str(json.loads(message)["headers"]["id"])
    except (ValueError, LookupError, TypeError):
        return None


@lru_cache(maxsize=1000)
def _request(text: str) -> DownloadRequest:
    """Remembered, as it never changes: a job is read many times, and most of its record is this."""
    return DownloadRequest.model_validate_json(text)


def _obey(answer: str) -> None:
    if answer == "cancelled":
        raise JobCancelled
    if answer == "lost":
        raise LeaseLost
    if answer == "gave_way":
        raise GaveWay
