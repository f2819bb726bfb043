"""Everything may be killed at any moment; see `make soak` for the long form."""

from pathlib import Path

import pytest

from tests.end_to_end.stage import RESTARTED, VICTIMS, Restarts, open_stage


@pytest.mark.timeout(300)
async def test_every_job_ends_once_whoever_is_killed(tmp_path: Path, clean_environment: dict[str, str]) -> None:
    async with open_stage(tmp_path, clean_environment, seed=11) as stage:
        tally = await stage.play(jobs=12, times=len(VICTIMS))
    print(tally.text())  # noqa: T201 - shown where the test fails
    assert tally.jobs == 12
    assert set(tally.kills) == set(VICTIMS)
    assert (tally.lost, tally.twice, tally.broken, tally.failed) == ([], [], [], [])
    assert (tally.left_over, tally.breaches) == ([], [])


@pytest.mark.timeout(300)
async def test_a_restart_of_everything_under_way_is_noticed_by_nobody(
    tmp_path: Path, clean_environment: dict[str, str]
) -> None:
    async with open_stage(tmp_path, clean_environment, seed=12, kind=Restarts) as stage:
        tally = await stage.play(jobs=8, times=1)
    print(tally.text())  # noqa: T201 - shown where the test fails
    assert set(tally.stops) == set(RESTARTED)
    assert (tally.lost, tally.twice, tally.broken, tally.failed, tally.told_unsure) == ([], [], [], [], [])
    assert (tally.extra_status, tally.left_over, tally.breaches) == ([], [], [])
