"""`python -m bot.local.telegram --port 8081 --folder data/telegram`: the stand-in as a process.

With `--local` in the place of a self-hosted server.
"""

import argparse
import asyncio
import logging
import signal
from pathlib import Path

from bot.local.telegram.server import StandIn, serve
from tasks.logs import set_up
from tasks.settings import task_settings

log = logging.getLogger("bot.local.telegram")


async def main(port: int, folder: Path | None, local: Path | None) -> None:
    """Serve until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with serve(folder, port, local) as telegram:
        log.info("the chat page is at %s/", telegram.url)
        telling = asyncio.create_task(_tell_when_ready(telegram))
        await stop.wait()
        telling.cancel()


async def _tell_when_ready(telegram: StandIn) -> None:
    """Say it again where nobody has to scroll back for it."""
    await telegram.methods.bot_came.wait()
    log.info("the bot is here; talk to it at %s/", telegram.url)


if __name__ == "__main__":
    set_up("telegram", task_settings())
    parser = argparse.ArgumentParser(description="A stand-in for Telegram on this machine")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    parser.add_argument(
        "--local",
        type=Path,
        nargs="?",
        const=Path("/"),
        metavar="FOLDER",
        help="read files by their paths, up to 2000 MB",
    )
    arguments = parser.parse_args()
    asyncio.run(main(arguments.port, arguments.folder, arguments.local))
