"""A real S3 server: rclone's, on a folder, so that tests see what is in the bucket. It runs in a process of its own."""

import os
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from pydantic import SecretStr

from tasks.settings import TaskSettings

Settings = TypeVar("Settings", bound=TaskSettings)
KEY, SECRET = "a-key", "hunter2hunter2"
BUCKET = "files"
STARTED = 30.0


class S3Server:
    """The server on a port that stays the same; it can go away and come back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "root" / BUCKET).mkdir(parents=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port: int = free.getsockname()[1]
        self._running: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def settings(self, prefix: str) -> dict[str, str]:
        """Settings of who uses the bucket below that prefix."""
        return {
            "storage_url": f"s3://{BUCKET}/{prefix}",
            "aws_access_key_id": KEY,
            "aws_secret_access_key": SECRET,
            "aws_endpoint_url": self.url,
        }

    def used_by(self, settings: Settings, prefix: str) -> Settings:
        """The same settings with the bucket below that prefix."""
        given = self.settings(prefix)
        return settings.model_copy(update={**given, "aws_secret_access_key": SecretStr(SECRET)})

    def objects(self, prefix: str) -> list[str]:
        """Keys below the prefix, without it."""
        folder = self._folder / "root" / BUCKET / prefix
        # Unlike `rglob`, `walk` goes on where a folder is deleted meanwhile.
        files = [Path(parent, name) for parent, _, names in os.walk(folder) for name in names]
        # What is being written has a name of rclone's own.
        return sorted(path.relative_to(folder).as_posix() for path in files if not path.name.startswith(".rclone"))

    def start(self) -> None:
        """Start, and return when it answers."""
        words = ["serve", "s3", "--addr", f"127.0.0.1:{self.port}", "--auth-key", f"{KEY},{SECRET}"]
        rclone = Path(sys.executable).with_name("rclone")
        config = self._folder / "rclone.conf"
        config.touch()
        with (self._folder / "rclone.log").open("ab") as log:
            self._running = subprocess.Popen(
                [rclone, *words, "--config", config, self._folder / "root"], stdout=log, stderr=log
            )
        deadline = time.monotonic() + STARTED
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.02)
        raise AssertionError((self._folder / "rclone.log").read_text())

    def stop(self) -> None:
        """Be gone at once, as after a crash."""
        if self._running:
            self._running.kill()
            self._running.wait()
            self._running = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
