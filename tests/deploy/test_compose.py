"""What docker-compose.yml and the Dockerfile promise, read from the files; no engine is needed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from ruamel.yaml import YAML

from bot.local.redis_server import server_binary
from bot.settings import BotSettings
from tasks.settings import READ_BY_OTHERS, FlowerSettings, TaskSettings

ROOT = Path(__file__).parent.parent.parent
FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(FILE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)
OTHERS = sorted(SERVICES.keys() - OURS)
ALWAYS = {"redis", "bot", "downloads", "cleanup", "consumet"}
FIXED = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?[\w.-]*(@sha256:[0-9a-f]{64})?")
NO_VERSIONS_PUBLISHED = {"consumet"}
NAMED = re.compile(r"(?<!\$)\$\{([A-Z_]+)")


def secret(kind: type[TaskSettings]) -> set[str]:
    return {name for name, field in kind.model_fields.items() if field.annotation is SecretStr}


def checked(*words: str | Path) -> str:
    ended = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def said_by(service: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """What the service's script says with a harmless program in the place of what it starts, and `/tmp` elsewhere."""
    script = re.sub(r"\B/tmp\b", str(folder), SERVICES[service]["command"][-1].replace("$$", "$"))
    server = folder / "redis-server"
    server.write_text('#!/bin/sh\necho "$@"\n')
    server.chmod(0o700)
    path = f"{folder}:{os.environ['PATH']}"
    return subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": path, **environment}, capture_output=True, text=True, check=False
    )


def test_the_file_is_what_compose_understands() -> None:
    checked(sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", FILE)


def test_the_dockerfile_is_in_order() -> None:
    checked(Path(sys.executable).parent / "hadolint", "Dockerfile")


def test_what_runs_always_and_what_at_will() -> None:
    assert {name for name, service in SERVICES.items() if "profiles" not in service} == ALWAYS
    wanted = {name: service["profiles"] for name, service in SERVICES.items() if "profiles" in service}
    assert wanted == {
        "flower": ["flower"],
        "telegram-bot-api": ["local-api"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_may_do_little_and_is_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert str(service["user"]).partition(":")[0] not in {"root", "0"}
    assert "privileged" not in service
    assert service["restart"] == "unless-stopped"
    assert service["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}
    assert {"interval", "timeout", "retries", "start_period"} < service["healthcheck"].keys()
    assert all(service[limit] for limit in ("mem_limit", "cpus", "pids_limit", "stop_grace_period"))
    assert service["logging"]["options"].keys() == {"max-size", "max-file"}


@pytest.mark.parametrize("name", OTHERS)
def test_an_image_of_others_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert bool(FIXED.fullmatch(image)) is (name not in NO_VERSIONS_PUBLISHED)


def test_what_our_images_are_made_of_is_pinned() -> None:
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    stages = {line.split(" AS ")[1] for line in lines if line.startswith("FROM ")}
    origins = {line.split()[1] for line in lines if line.startswith("FROM ")} - stages
    assert origins
    assert all(FIXED.fullmatch(origin) for origin in origins)
    assert {SERVICES[name]["build"]["target"] for name in OURS} <= stages


def test_nothing_but_what_is_named_gets_into_the_image() -> None:
    lines = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if not line.startswith("#")]
    assert lines[0] == "*"
    allowed = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert allowed == {"bot", "tasks", "pyproject.toml", "requirements.txt", "LICENSE"}


def test_redis_is_reached_by_our_own_alone_and_asks_them_for_a_password() -> None:
    redis = SERVICES["redis"]
    assert "ports" not in redis
    assert redis["networks"] == ["queue"]
    assert COMPOSE["networks"]["queue"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "queue" in service["networks"]} == {"redis", *OURS}
    for name in OURS:
        broker = SERVICES[name]["environment"]["CELERY_BROKER_URL"]
        assert re.fullmatch(r"redis://:\$\{REDIS_PASSWORD:\?.+\}@redis:6379/0", broker)


def test_who_asks_sources_reaches_them() -> None:
    for name in ("bot", "downloads", "cleanup", "consumet"):
        assert "web" in SERVICES[name]["networks"]
    assert not COMPOSE["networks"]["web"]
    for name in ("downloads", "cleanup"):
        assert SERVICES[name]["environment"]["MANGAPI_URL"] == SERVICES["bot"]["environment"]["MANGAPI_URL"]
        assert SERVICES[name]["volumes"] == SERVICES["bot"]["volumes"]


def test_redis_has_its_password_from_a_private_file(tmp_path: Path) -> None:
    said = said_by("redis", tmp_path, REDISCLI_AUTH="a-Word_9")
    config = tmp_path / "redis.conf"
    assert config.read_text() == "requirepass a-Word_9\n"
    assert config.stat().st_mode & 0o077 == 0
    assert "a-Word_9" not in said.stdout
    for option in ("--appendonly yes", "--appendfsync always", "--maxmemory-policy noeviction"):
        assert option in said.stdout


def test_a_real_server_takes_these_options(tmp_path: Path) -> None:
    said = said_by("redis", tmp_path, REDISCLI_AUTH="a").stdout.split()
    server = shutil.copy(server_binary(), tmp_path / "server")
    # One that cannot open its log tells so once it has understood everything else.
    ended = subprocess.run(
        [server, *said, "--logfile", str(tmp_path / "no" / "log")], capture_output=True, text=True, check=False
    )
    assert "log file" in ended.stderr


@pytest.mark.parametrize("password", ["p@ss", "a b", "x/y", "a\nmaxclients 1"])
def test_a_password_that_does_not_fit_into_an_address_is_refused(password: str, tmp_path: Path) -> None:
    said = said_by("redis", tmp_path, REDISCLI_AUTH=password)
    assert said.returncode == 1
    assert said.stderr == "REDIS_PASSWORD stands in an address: letters, digits, - and _ only\n"


@pytest.mark.parametrize(
    ("service", "name"),
    [("telegram-bot-api", "TELEGRAM_API_ID"), ("prometheus", "API_TOKEN"), ("grafana", "GRAFANA_PASSWORD")],
)
def test_a_profile_that_lacks_a_secret_says_which(service: str, name: str, tmp_path: Path) -> None:
    said = said_by(service, tmp_path)
    assert said.returncode != 0
    assert f"{name} is not set in .env" in said.stderr.replace(": is", " is")


def test_ports_are_published_on_this_host_alone_unless_told() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert ports
    assert all(re.fullmatch(r"\$\{PUBLISH_[A-Z]+:-127\.0\.0\.1:\d+\}:\d+", port) for port in ports)


def test_every_name_stands_in_the_example() -> None:
    named = set(NAMED.findall(FILE.read_text()))
    example = set(re.findall(r"^#([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    assert named <= example
    ours = {field.upper() for field in {**BotSettings.model_fields, **FlowerSettings.model_fields}}
    assert named - ours == READ_BY_OTHERS


def test_only_who_needs_a_secret_has_it() -> None:
    bot_alone = {name.upper() for name in secret(BotSettings) - secret(TaskSettings)}
    of_containers = {"GRAFANA_PASSWORD", "TELEGRAM_API_HASH"}
    assert bot_alone
    for name in ("downloads", "cleanup", "flower"):
        kept_away = bot_alone | of_containers | ({"FLOWER_BASIC_AUTH"} if name != "flower" else set())
        assert {one: SERVICES[name]["environment"].get(one) for one in kept_away} == dict.fromkeys(kept_away, "")
    assert all("env_file" not in SERVICES[name] for name in OTHERS)


def test_a_worker_says_as_much_as_the_settings_ask_for() -> None:
    commands = [str(SERVICES[name]["command"]).split() for name in ("downloads", "cleanup")]
    # Either would go before LOG_LEVEL.
    assert [command for command in commands if {"-l", "--loglevel"} & {*command}] == []


def test_who_hands_files_over_sees_them_at_the_same_place() -> None:
    for name in ("bot", "downloads", "cleanup", "telegram-bot-api"):
        assert "files:/data" in SERVICES[name]["volumes"]
    assert SERVICES["telegram-bot-api"]["user"] == SERVICES["bot"]["user"]


def test_every_volume_has_a_name() -> None:
    used = {str(volume).rpartition(":/")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    named = {volume for volume in used if volume.isalpha()} | {"library"}
    assert named == COMPOSE["volumes"].keys()
