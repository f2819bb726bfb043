"""Redis as operators run it: over TCP with users and passwords, with Sentinels that watch it, behind TLS."""

import asyncio
import contextlib
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import trustme
from redis import Redis
from redis.exceptions import RedisError

from bot.local.redis_server import server_binary

PATIENCE = 30.0
ADMIN, ADMIN_PASSWORD = "default", "for the servers & the tests"
USER, USER_PASSWORD = "manhwa", "p@ss/w:rd;?#%"
RIGHTS = (
    "resetkeys ~manhwa:* ~LIMITS* ~downloads* ~cleanup* ~unacked* ~_kombu.* ~celery-task-meta-* ~*.celery.pidbox* ~celeryev.* "
    "&* +@all -@admin -@dangerous +info"
)
"""Enough for the product, and for those who look on with Celery."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """A server process; `admin` may do everything there."""

    running: subprocess.Popen[bytes]
    port: int

    def admin(self) -> Redis:
        return Redis(port=self.port, username=ADMIN, password=ADMIN_PASSWORD, decode_responses=True, socket_timeout=5)

    def answers(self) -> bool:
        with contextlib.suppress(RedisError), self.admin() as redis:
            return bool(redis.ping())
        return False


@contextmanager
def server(folder: Path, *words: str, port: int | None = None) -> Iterator[Server]:
    """A Redis, with those words of its configuration, until the block ends; on disk in that folder."""
    folder.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
    config = folder / "redis.conf"
    if not config.exists():
        lines = [f'dir "{folder}"', f"port {port}", "bind 127.0.0.1", f'requirepass "{ADMIN_PASSWORD}"', *words]
        config.write_text("\n".join(lines) + "\n")
    with (folder / "log").open("ab") as log:
        sentinel = ["--sentinel"] if any(word.startswith("sentinel ") for word in words) else []
        running = subprocess.Popen([server_binary(), str(config), *sentinel], stdout=log, stderr=log)
    try:
        started = Server(running, port)
        wait_for(started.answers, "the server answers")
        yield started
    finally:
        running.kill()
        running.wait()


def node(folder: Path, *words: str, port: int | None = None) -> contextlib.AbstractContextManager[Server]:
    """A server with the product's user, fit to be a master or a replica of one."""
    return server(
        folder,
        "appendonly yes",
        'save ""',
        "repl-diskless-sync-delay 0",
        *words,
        f'masterauth "{ADMIN_PASSWORD}"',
        f"user {USER} on >{USER_PASSWORD} {RIGHTS}",
        port=port,
    )


def sentinel(folder: Path, master: Server, name: str) -> contextlib.AbstractContextManager[Server]:
    """One that decides alone, a few seconds after the master is gone.

    It asks a master once a second: with no more time than that a new one is taken for gone before it was asked twice.
    """
    return server(
        folder,
        f"sentinel monitor {name} 127.0.0.1 {master.port} 1",
        f'sentinel auth-pass {name} "{ADMIN_PASSWORD}"',
        f"sentinel down-after-milliseconds {name} 2500",
        f"sentinel failover-timeout {name} 5000",
    )


def wait_for(check: object, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not check():  # type: ignore[operator]
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.05)


@asynccontextmanager
async def tls_before(port: int, folder: Path) -> AsyncIterator[int]:
    """The port of a TLS server that passes all on to that one; `ca.pem` in the folder vouches for it, as localhost.

    It wants a certificate of its clients: `client.pem`.
    """
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(folder / "client.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    passing: set[asyncio.Task[None]] = set()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing.add(cast("asyncio.Task[None]", asyncio.current_task()))
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", port)
        ways = [asyncio.create_task(_pump(reader, onward_writer)), asyncio.create_task(_pump(onward_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            onward_writer.transport.abort()
            writer.transport.abort()

    listening = await asyncio.start_server(pass_on, "127.0.0.1", 0, ssl=context)
    try:
        yield int(listening.sockets[0].getsockname()[1])
    finally:
        listening.close()
        for task in passing:
            task.cancel()
        await asyncio.gather(*passing, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while chunk := await reader.read(65536):
            writer.write(chunk)
            await writer.drain()
