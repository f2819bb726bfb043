"""The unit files start what docker-compose.yml starts, and nothing else."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.settings import WRONG_SETTING
from tests.deploy.test_compose import SERVICES

UNITS = Path(__file__).parent.parent.parent / "deploy" / "systemd"
COMMON = UNITS / "manhwa-.service.d" / "common.conf"
PARTS = {"bot": "manhwa-bot", "downloads": "manhwa-downloads@", "cleanup": "manhwa-cleanup", "flower": "manhwa-flower"}
PROGRAMS = "/opt/manhwa-downloader/.venv/bin/"


def lines(file: Path) -> Iterator[tuple[str, str]]:
    """Name and value of each line, with the section before the name."""
    section = ""
    for line in file.read_text().splitlines():
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            yield f"{section}{name}", value


@pytest.mark.parametrize("part", PARTS)
def test_a_unit_starts_what_its_container_starts(part: str) -> None:
    unit = dict(lines(UNITS / f"{PARTS[part]}.service"))
    started = unit["[Service]ExecStart"]
    assert started.startswith(PROGRAMS)
    # systemd has % and instances of its own.
    words = re.sub(r"-n (\w+)(-%i)?@%%h", r"-n \1@%h", started.removeprefix(PROGRAMS))
    assert words == SERVICES[part]["command"]
    assert unit.get("[Service]KillSignal", "SIGTERM") == SERVICES[part].get("stop_signal", "SIGTERM")


def test_every_unit_belongs_to_the_target_and_has_limits() -> None:
    services = list(UNITS.glob("manhwa-*.service"))
    assert {file.stem for file in services} == {*PARTS.values(), "manhwa-redis"}
    for file in services:
        unit = dict(lines(file))
        assert unit["[Install]WantedBy"] == "manhwa.target"
        assert unit["[Service]MemoryMax"]


def test_the_embedded_redis_has_no_network() -> None:
    unit = UNITS / "manhwa-redis.service"
    # As systemd reads them: first the unit, then every drop-in by its name; an empty line takes back what was said before.
    drop_ins = [*COMMON.parent.glob("*.conf"), *UNITS.glob("manhwa-redis.service.d/*.conf")]
    allowed: list[str] = []
    for file in (unit, *sorted(drop_ins, key=lambda path: path.name)):
        for name, value in lines(file):
            if name == "[Service]RestrictAddressFamilies":
                allowed = [*allowed, *value.split()] if value else []
    assert allowed == ["AF_UNIX"]


@pytest.mark.parametrize("part", ["bot", "downloads", "cleanup"])
def test_who_asks_sources_reaches_them(part: str) -> None:
    assert "[Service]IPAddressDeny" not in dict(lines(UNITS / f"{PARTS[part]}.service"))


def test_what_holds_for_all() -> None:
    common = dict(lines(COMMON))
    assert common["[Service]User"] == "manhwa"
    assert common["[Service]Restart"] == "always"
    assert common["[Service]RestartPreventExitStatus"] == str(WRONG_SETTING)
    assert common["[Service]ProtectSystem"] == "strict"
    assert common["[Service]NoNewPrivileges"] == "true"
    assert common["[Service]CapabilityBoundingSet"] == ""
    # The embedded Redis is found here by all of them, as it is not in a /tmp that each has for itself.
    assert common["[Service]StateDirectory"] == "manhwa-downloader"
    assert "DATA_DIR=/var/lib/manhwa-downloader" in common["[Service]Environment"]
