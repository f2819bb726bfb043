"""Which processes of this machine are dead."""

import os
import subprocess
import sys

import pytest

from bot import pulse

SAYS_ITS_ID = [sys.executable, "-c", "from bot import pulse; print(pulse.new_id(), flush=True); input()"]


@pytest.fixture
def other() -> "subprocess.Popen[str]":
    return subprocess.Popen(SAYS_ITS_ID, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_one_that_runs_is_alive_and_one_that_was_killed_is_dead(other: "subprocess.Popen[str]") -> None:
    with other:
        assert other.stdout
        process = other.stdout.readline().strip()
        assert not pulse.is_dead(process)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert pulse.is_dead(process)  # though nobody has asked about its end yet
        other.wait()
        assert pulse.is_dead(process)
        assert not pulse.is_dead(pulse.new_id())


def test_another_process_with_the_same_number_is_another_one() -> None:
    machine, pid, start, word = pulse.new_id().split("/")
    assert pulse.is_dead("/".join((machine, pid, str(int(start) - 1), word)))


@pytest.mark.parametrize("process", ["elsewhere/1/2/3", "/1/2/3", "", "one"])
def test_of_other_machines_nothing_is_known(process: str) -> None:
    assert not pulse.is_dead(process)
