"""The embedded Redis: a real server process, one per folder, that loses nothing it has answered for."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from bot.local import redis_server
from bot.local.redis_server import NoServer, is_live, server_binary
from tasks.settings import TaskSettings

PATIENCE = 20.0


@pytest.fixture
def settings(tmp_path: Path) -> TaskSettings:
    return TaskSettings(_env_file=None, data_dir=tmp_path / "it's 100% mine")


@pytest.fixture
def environment(settings: TaskSettings, clean_environment: dict[str, str]) -> dict[str, str]:
    return {**clean_environment, "DATA_DIR": str(settings.data_dir)}


class Servers:
    """Starts server processes and leaves none behind."""

    def __init__(self, settings: TaskSettings, environment: dict[str, str]) -> None:
        self._settings = settings
        self._environment = environment
        self._started: list[subprocess.Popen[str]] = []

    def start(self) -> subprocess.Popen[str]:
        words = [sys.executable, "-m", "bot.local.redis_server"]
        started = subprocess.Popen(words, env=self._environment, stderr=subprocess.PIPE, text=True)
        self._started.append(started)
        return started

    def start_live(self) -> subprocess.Popen[str]:
        started = self.start()
        self.wait_live()
        return started

    def wait_live(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not is_live(self._settings):
            assert time.monotonic() < deadline, "no server answers"
            time.sleep(0.02)

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def servers(settings: TaskSettings, environment: dict[str, str]) -> Iterator[Servers]:
    started = Servers(settings, environment)
    yield started
    started.end()


def client(settings: TaskSettings) -> Redis:
    return Redis(unix_socket_path=str(settings.redis_socket), decode_responses=True)


def test_what_was_answered_survives_a_kill(servers: Servers, settings: TaskSettings) -> None:
    first = servers.start_live()
    with client(settings) as redis:
        redis.set("job", "accepted")
    first.kill()
    first.wait()
    assert settings.redis_socket.exists()  # stale, and no reason not to start
    assert not is_live(settings)
    servers.start_live()
    with client(settings) as redis:
        assert redis.get("job") == "accepted"


def test_a_backup_is_put_back_by_the_words_of_the_operators_page(servers: Servers, settings: TaskSettings) -> None:
    page = (Path(__file__).parents[3] / "docs" / "operators.md").read_text()
    chapter = page.partition("## Backup")[2].partition("\n## ")[0]
    commands = [line.strip() for line in chapter.splitlines() if line.startswith("    ")]
    assert commands
    first = servers.start_live()
    with client(settings) as redis:
        redis.set("job", "accepted")
        redis.save()  # what `redis-cli --rdb` gets as well
        redis.delete("job")
    first.kill()
    first.wait()
    folder = settings.data_path / "redis"
    (folder / "dump.rdb").rename(folder / "backup.rdb")
    subprocess.run(["/bin/sh", "-ec", "\n".join(commands)], cwd=folder, check=True)
    for _ in ("once", "and once more"):
        server = servers.start_live()
        with client(settings) as redis:
            assert redis.get("job") == "accepted"
        server.kill()
        server.wait()


def test_only_its_owner_reaches_it(servers: Servers, settings: TaskSettings) -> None:
    servers.start_live()
    assert stat.S_IMODE(settings.redis_socket.parent.stat().st_mode) == 0o700
    with client(settings) as redis:
        assert redis.config_get("port")["port"] == "0"
        assert redis.config_get("maxmemory-policy")["maxmemory-policy"] == "noeviction"
        assert redis.config_get("append*")["appendfsync"] == "always"


def test_a_second_server_lets_the_first_work_and_takes_its_place_when_it_ends(
    servers: Servers, settings: TaskSettings
) -> None:
    first = servers.start_live()
    second = servers.start()
    assert second.stderr is not None
    assert "a server that runs already is used" in second.stderr.readline()
    with client(settings) as redis:
        assert redis.info("server")["process_id"] == first.pid
        redis.set("job", "accepted")
    first.send_signal(signal.SIGTERM)
    first.wait(PATIENCE)
    servers.wait_live()
    with client(settings) as redis:
        assert redis.info("server")["process_id"] == second.pid
        assert redis.get("job") == "accepted"


def test_a_frozen_server_is_never_joined_by_another(
    servers: Servers, settings: TaskSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = servers.start_live()
    first.send_signal(signal.SIGSTOP)
    monkeypatch.setattr(redis_server, "LOCK_SECONDS", 0.0)
    with pytest.raises(NoServer, match="does not let go"):
        redis_server.become_server(settings)


def test_a_folder_with_a_long_path_is_served_too(clean_environment: dict[str, str], tmp_path: Path) -> None:
    settings = TaskSettings(_env_file=None, data_dir=tmp_path / ("long" * 30))
    servers = Servers(settings, {**clean_environment, "DATA_DIR": str(settings.data_dir)})
    try:
        servers.start_live()
        assert stat.S_IMODE(settings.redis_socket.parent.stat().st_mode) == 0o700
    finally:
        servers.end()
        shutil.rmtree(settings.redis_socket.parent)


def server_that_says(folder: Path, version: str) -> Path:
    server = folder / "redis-server"
    server.write_text(f"#!/bin/sh\necho 'Redis server v={version} sha=0'\n")
    server.chmod(0o755)
    return server


def test_without_a_build_in_the_packages_one_of_the_path_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(redis_server, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin")
    server = server_that_says(tmp_path, "6.2.14")
    assert server_binary() == str(server)


@pytest.mark.parametrize("version", ["6.0.16", None])
def test_without_any_server_a_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, version: str | None
) -> None:
    monkeypatch.setattr(redis_server, "find_spec", lambda _: None)
    monkeypatch.setenv("PATH", str(tmp_path))
    if version:
        server_that_says(tmp_path, version)
    with pytest.raises(NoServer, match="install redis-server or valkey-server"):
        server_binary()
