"""`make soak`: the fault suite's long form. Prints the tally; the exit status is 0 if nothing was lost, doubled or left."""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.conftest import environment_without_settings
from tests.end_to_end.stage import Kills, Restarts, Tally, open_stage


async def soak(folder: Path, asked: argparse.Namespace) -> Tally:
    kind = Restarts if asked.rolling else Kills
    async with open_stage(folder, environment_without_settings(), asked.seed, kind) as stage:
        return await stage.play(asked.jobs, asked.rolling or asked.kills)


def main() -> int:
    """Play it once; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--rolling", type=int, default=0, help="restart every process so often, in place of kills")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="where logs and data go and stay; default: a temporary folder")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        tally = asyncio.run(soak(folder, asked))
    sys.stdout.write(f"seed {asked.seed}: {tally.text()}\n")
    return bool(tally.lost or tally.twice or tally.broken or tally.left_over or tally.breaches)


if __name__ == "__main__":
    sys.exit(main())
