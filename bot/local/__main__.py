"""`python -m bot.local`, which is `make run`: everything on this machine until Ctrl-C."""

import fcntl
import os
import socket
import sys
from pathlib import Path

from bot.local.processes import PYTHON, current_user, programs, supervisor_config
from bot.local.redis_server import NoServer, server_binary
from bot.settings import BotSettings, bot_settings
from tasks.settings import SettingsError, refused

FIRST_CHAT_PORT = 8081


def main() -> str:
    """Become the process manager; returns only a sentence that says why not."""
    try:
        settings = bot_settings()
        run_folder = _own_folder(settings)
        with_redis = not settings.celery_broker_url.get_secret_value()
        if with_redis:
            server_binary()
    except SettingsError as error:
        raise refused(error) from None
    except (NoServer, OSError) as error:
        return str(error)
    token = settings.telegram_bot_token.get_secret_value()
    chosen = programs(
        settings,
        with_redis=with_redis,
        chat_port=None if token else _free_port(FIRST_CHAT_PORT),
        api_port=settings.api_port if "api_port" in settings.model_fields_set else _free_port(settings.api_port),
    )
    config = run_folder / "supervisord.conf"
    config.with_suffix(".part").write_text(supervisor_config(chosen, run_folder, current_user()))
    config.with_suffix(".part").rename(config)
    os.execv(PYTHON, [PYTHON, "-m", "supervisor.supervisord", "-c", str(config)])
    return "unreachable"


def _own_folder(settings: BotSettings) -> Path:
    """The folder of this run, locked until the manager ends. Raises `SettingsError`."""
    folder = settings.data_path / "run"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise SettingsError(
            f"DATA_DIR is {str(settings.data_dir)!r}: it can't be written to ({error.strerror})"
        ) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SettingsError(f"DATA_DIR is {str(settings.data_dir)!r}: another run uses it already") from None
    os.set_inheritable(lock, True)
    return folder


def _free_port(first: int) -> int:
    """The first port from there on that nobody listens at."""
    for port in range(first, first + 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise OSError(f"no free port from {first} on")


if __name__ == "__main__":
    sys.exit(main())
