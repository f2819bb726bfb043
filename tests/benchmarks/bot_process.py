"""The bot as production wires it, with a clock beside it: at each SIGUSR1 a line of JSON says how late its event loop was.

`python -m tests.benchmarks.bot_process`, with its settings in the environment.
"""

import asyncio
import json
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bot.app import open_app
from bot.settings import bot_settings

TICK = 0.005
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")


class Clock:
    """Looks at the event loop, memory and CPU since the last line."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lags: list[float] = []
        self._started, self._cpu = time.monotonic(), time.process_time()
        self._memory = self._peak = _resident()

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(TICK)
            self._lags.append(time.monotonic() - before - TICK)
            self._peak = max(self._peak, _resident())

    def tell(self) -> None:
        """Milliseconds of lag, share of a CPU, megabytes more than at the beginning."""
        lags = sorted(self._lags)
        said = {
            "lag_median": 1000 * _share(lags, 0.5),
            "lag_p99": 1000 * _share(lags, 0.99),
            "lag_max": 1000 * _share(lags, 1.0),
            "cpu": (time.process_time() - self._cpu) / (time.monotonic() - self._started),
            "more_memory": (self._peak - self._memory) / 1e6,
            "peak_memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
        }
        sys.stdout.write(f"{json.dumps(said)}\n")
        sys.stdout.flush()
        self._begin()


def _share(lags: Sequence[float], share: float) -> float:
    return lags[min(len(lags) - 1, int(share * len(lags)))] if lags else 0.0


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_SIZE


async def _run() -> None:
    stop, clock = asyncio.Event(), Clock()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGUSR1, clock.tell)
    async with open_app(bot_settings()):
        looking = asyncio.create_task(clock.run())
        clock.tell()
        await stop.wait()
        looking.cancel()


if __name__ == "__main__":
    asyncio.run(_run())
