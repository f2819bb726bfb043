"""`/metrics`: what Prometheus asks for.

What concerns jobs, workers, sources and followed titles comes from Redis, and is the same from every process of the bot; what
concerns calls to Telegram and requests to the web API is of this process alone.
"""

from collections.abc import Iterable, Iterator, Mapping
from http import HTTPStatus

from aiohttp import web
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from bot.vitals import Vitals
from bot.web.routes import Asked, Rooms, Route
from tasks.jobs.job import JobState

TEXT = "text/plain; version=0.0.4"
SHOWN = (JobState.QUEUED, JobState.DOWNLOADING, JobState.PACKING, JobState.READY)
BOUNDS = ("1", "2", "5", "10", "30", "60", "120", "300", "600", "1800", "3600", "inf")
"""As `moves.lua` has them."""
Tally = Mapping[tuple[str, ...], float]


async def metrics(asked: Asked) -> web.Response:
    of_all = await _families(asked.rooms)
    told = CollectorRegistry()
    told.register(_Told(tuple(of_all)))
    text = generate_latest(told) + generate_latest(asked.rooms.meters.registry)
    return web.Response(body=text, headers={"Content-Type": f"{TEXT}; charset=utf-8"})


class _Told(Collector):
    """Families that were asked for before, as the library asks for them without waiting."""

    def __init__(self, families: tuple[Metric, ...]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families


async def _families(rooms: Rooms) -> list[Metric]:
    vitals = await rooms.doctor.look()
    found = [*_of_vitals(vitals)]
    if vitals.redis:
        reports = [(one.name, await rooms.sources.report(one)) for one in rooms.sources.all()]
        up = GaugeMetricFamily("manhwa_source_up", "0 = what it was asked lately failed", labels=["source"])
        for name, report in reports:
            up.add_metric([name], 0 if report.failing else 1)
        tally = await rooms.store.tally()
        found += [up, await _jobs(rooms), *_counters(tally), *_histograms(tally), *await _titles(rooms)]
    return found


def _of_vitals(vitals: Vitals) -> Iterator[Metric]:
    yield GaugeMetricFamily("manhwa_healthy", "1 = a job that is sent now would be done", value=vitals.healthy)
    yield GaugeMetricFamily("manhwa_redis_up", "1 = Redis takes writes", value=vitals.redis)
    for name, about, numbers in (
        ("manhwa_workers", "Live workers", vitals.workers),
        ("manhwa_queue_length", "Jobs or clean-ups that wait", vitals.queues),
    ):
        family = GaugeMetricFamily(name, about, labels=["queue"])
        for queue, number in numbers.items():
            family.add_metric([queue], number)
        yield family
    if vitals.disk_free is not None:
        about = "Bytes free for jobs, at the worker that has most"
        yield GaugeMetricFamily("manhwa_disk_free_bytes", about, value=vitals.disk_free)


async def _jobs(rooms: Rooms) -> Metric:
    census = await rooms.store.census()
    family = GaugeMetricFamily(
        "manhwa_jobs", "Jobs that have not ended, or whose files wait", labels=["state", "source"]
    )
    sources = {source for _, source in census} | {source.name for source in rooms.sources.all()}
    for state in SHOWN:
        for source in sorted(sources):
            family.add_metric([state, source], census[state, source])
    return family


async def _titles(rooms: Rooms) -> list[Metric]:
    followed = GaugeMetricFamily("manhwa_followed_titles", "Titles that somebody follows", labels=["source"])
    for source in rooms.sources.all():
        followed.add_metric([source.name], await rooms.titles.count(source.name))
    looks = CounterMetricFamily(
        "manhwa_looks", "Looks for new chapters; result: changed, same or failed", labels=["source", "result"]
    )
    for what, number in sorted((await rooms.titles.looks()).items()):
        source_name, _, result = what.partition("|")
        looks.add_metric([source_name, result], number)
    return [followed, looks]


def _counters(tally: Tally) -> Iterator[Metric]:
    for name, about in (
        ("pages", "Pages that were delivered"),
        ("page_bytes", "Bytes of pages that were downloaded"),
        ("pages_missing", "Pages that could not be had; a chapter of which nothing was had counts as one"),
    ):
        family = CounterMetricFamily(f"manhwa_{name}", about, labels=["source"])
        for (_, source), number in _of(tally, name):
            family.add_metric([source], number)
        yield family
    recoveries = CounterMetricFamily("manhwa_recoveries", "Jobs that were lost and sent again", labels=["kind"])
    for kind in ("worker_lost", "message_lost"):
        recoveries.add_metric([kind], tally.get(("recoveries", kind), 0))
    yield recoveries
    ended = CounterMetricFamily("manhwa_jobs_ended", "Jobs by how they ended", labels=["source", "end", "code"])
    for (_, source, ending), number in _of(tally, "ended"):
        end, _, code = ending.partition(":")
        ended.add_metric([source, end, code], number)
    yield ended


def _histograms(tally: Tally) -> Iterator[Metric]:
    for name, about in (
        ("job_seconds", "From the request to the end of the job"),
        ("queue_wait_seconds", "In line, before a worker took the job"),
    ):
        family = HistogramMetricFamily(f"manhwa_{name}", about, labels=["source"])
        sums = {source: seconds for (_, source), seconds in _of(tally, f"{name}_sum")}
        for source, seconds in sums.items():
            family.add_metric([source], _buckets(tally, name, source), sum_value=seconds)
        yield family


def _buckets(tally: Tally, name: str, source: str) -> list[tuple[str, float]]:
    """Each bound with how many were below it, as Prometheus counts them."""
    reached, buckets = 0.0, []
    for bound in BOUNDS:
        reached += tally.get((name, source, bound), 0)
        buckets.append(("+Inf" if bound == "inf" else bound, reached))
    return buckets


def _of(tally: Tally, name: str) -> list[tuple[tuple[str, ...], float]]:
    return sorted((words, number) for words, number in tally.items() if words[0] == name)


ROUTES = (Route("GET", "/metrics", "Figures for Prometheus", metrics, {HTTPStatus.OK: (TEXT,)}),)
