"""Which processes make up the product on one machine, as a configuration for supervisor. Pure."""

import os
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from bot.settings import BotSettings
from tasks.settings import WRONG_SETTING

PYTHON = sys.executable


@dataclass(frozen=True)
class Program:
    """One process; higher `order`s start later and stop earlier."""

    name: str
    command: tuple[str, ...]
    order: int
    stop_seconds: int = 20
    """After SIGTERM; who is not gone then is killed. All end themselves before, see `tasks.stopping` and `bot.app`."""
    settled_seconds: int = 1
    """One that ends sooner after its start is started anew with growing pauses."""
    environment: Mapping[str, str] = field(default_factory=dict)


def programs(settings: BotSettings, *, with_redis: bool, chat_port: int | None, api_port: int) -> list[Program]:
    """Everything to start. `chat_port` is the stand-in's; None = the real Telegram."""
    celery = (PYTHON, "-m", "celery", "-q", "-A", "tasks")
    chosen = [
        Program("downloads", (*celery, *_worker("downloads", 2)), 30),
        Program("cleanup", (*celery, *_worker("cleanup", 1)), 30),
        Program("beat", (*celery, "beat", "-l", "WARNING"), 40),
    ]
    if with_redis:
        chosen.append(Program("redis", (PYTHON, "-m", "bot.local.redis_server"), 10))
    of_bot = {"API_PORT": str(api_port)}
    if chat_port is not None and "mangadex_api_url" not in settings.model_fields_set:
        # A first try needs no network.
        chosen = [replace(program, environment={"MANGADEX_API_URL": ""}) for program in chosen]
        of_bot |= {"MANGADEX_API_URL": ""}
    if chat_port is not None:
        folder = str(settings.data_path / "telegram")
        command = (PYTHON, "-m", "bot.local.telegram", "--port", str(chat_port), "--folder", folder)
        local = ("--local",) if settings.telegram_api_local else ()
        chosen.append(Program("telegram", (*command, *local), 20))
        of_bot |= stand_in_environment(chat_port)
    chosen.append(Program("bot", (PYTHON, "-m", "bot"), 50, settled_seconds=0, environment=of_bot))
    return sorted(chosen, key=lambda program: program.order)


def stand_in_environment(port: int) -> dict[str, str]:
    """What tells the bot to talk to the stand-in at that port."""
    from bot.local.telegram import STAND_IN_TOKEN  # noqa: PLC0415 - brings aiogram, which takes seconds to load

    return {"TELEGRAM_BOT_TOKEN": STAND_IN_TOKEN, "TELEGRAM_API_URL": f"http://127.0.0.1:{port}"}


def _worker(queue: str, processes: int) -> tuple[str, ...]:
    return ("worker", "-Q", queue, "-c", str(processes), "-n", f"{queue}@%h", "-l", "INFO", "--without-gossip")


def supervisor_config(chosen: list[Program], run_folder: Path, user: str) -> str:
    """The text of a supervisord.conf: in the foreground, everything to the terminal, what dies is started again."""
    head = f"""\
[supervisord]
nodaemon=true
user={_escaped(user)}
logfile=/dev/null
logfile_maxbytes=0
loglevel=warn
pidfile={_escaped(str(run_folder / "supervisord.pid"))}
directory={_escaped(str(Path.cwd()))}
"""
    return "\n".join([head, *map(_section, chosen)])


def _section(program: Program) -> str:
    words = (PYTHON, "-m", "bot.local.tied", *program.command)
    environment = ",".join(f'{name}="{_escaped(value)}"' for name, value in program.environment.items())
    return f"""\
[program:{program.name}]
command={_escaped(shlex.join(words))}
environment={environment}
priority={program.order}
startsecs={program.settled_seconds}
startretries=1000000
autorestart=unexpected
exitcodes={WRONG_SETTING}
stopsignal=TERM
stopwaitsecs={program.stop_seconds}
killasgroup=true
redirect_stderr=true
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
"""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")


def current_user() -> str:
    """Who runs this, in the form supervisor asks for when that is root."""
    return str(os.getuid())
