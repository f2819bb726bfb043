"""How far a job is, and how long it takes."""

import time

import pytest

from tasks.jobs.progress import Meter


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    now = {"now": 100.0}
    monkeypatch.setattr(time, "monotonic", lambda: now["now"])
    return now


@pytest.mark.parametrize("found", ["page_found", "page_kept"])
def test_the_time_left_goes_by_what_was_fetched(clock: dict[str, float], found: str) -> None:
    meter = Meter(2)
    meter.chapter_opened(0, "1", 10)
    for _ in range(5):
        clock["now"] += 2
        meter.page_arrived(0, 1000)
    # A quarter of the job took ten seconds; half of it was on disk.
    meter.chapter_opened(1, "2", 10)
    for _ in range(10):
        getattr(meter, found)(1, 1000)
    progress = meter.progress()
    assert (progress.percent, progress.seconds_left) == (75, 10)
    assert progress.resumed_at == (10 if found == "page_kept" else 0)
