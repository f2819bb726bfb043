"""Who this process is, and whether another one of this machine is dead for certain, so that nobody need wait for it."""

import os
import secrets
from functools import cache
from pathlib import Path

PROC = Path("/proc")
DEAD = {"Z", "X"}
"""States of a process that ended and that nobody has asked about."""


def new_id() -> str:
    """An id that no other process has or had: `<machine>/<pid>/<start>/<word>`."""
    return "/".join((_machine(), str(os.getpid()), _start(os.getpid()), secrets.token_hex(4)))


def is_dead(process: str) -> bool:
    """Whether the process with that id has ended; False as well where that can't be known from here."""
    parts = process.split("/")
    if len(parts) != len(("machine", "pid", "start", "word")) or not parts[0] or parts[0] != _machine():
        return False
    return _start(int(parts[1])) != parts[2]


@cache
def _machine() -> str:
    """The running kernel and the space of process ids in it, as a container has its own; empty where there is no telling."""
    try:
        boot = (PROC / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}.{(PROC / 'self/ns/pid').stat().st_ino}"
    except OSError:
        return ""


def _start(pid: int) -> str:
    """When the process was started, in the kernel's ticks; empty = there is none with that id."""
    try:
        # Its name comes second, in brackets, and may hold anything.
        fields = (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in DEAD else fields[19]
