"""`make bench`: each figure beside what it is compared with, both run here and now. Nothing else should run meanwhile."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import again, bot, download, news, queue
from tests.benchmarks.report import Figure, table, write

BENCHMARKS = {
    "wire": download.wire,
    "fast": download.without_latency,
    "faults": download.faults,
    "limits": download.limits,
    "memory": download.memory,
    "workers": download.workers,
    "queue": queue.queue,
    "bot": bot.bot,
    "again": again.again,
    "news": news.news,
}


async def measure(names: list[str], folder: Path, rounds: int) -> list[Figure]:
    """The figures of these benchmarks; each table is printed as it comes."""
    found: list[Figure] = []
    for name in names:
        figures = await BENCHMARKS[name](folder / name, rounds)
        sys.stdout.write(f"\n{name}\n{table(figures)}\n")
        sys.stdout.flush()
        found += figures
    return found


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--rounds", type=int, default=5, help="of which the median counts; default: 5")
    parser.add_argument(
        "--json", type=Path, default=Path("bench.json"), help="where the figures go; default: bench.json"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(asked.names or list(BENCHMARKS), Path(folder), asked.rounds))
    write(figures, asked.json)


if __name__ == "__main__":
    main()
