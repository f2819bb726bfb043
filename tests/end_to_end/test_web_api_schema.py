"""The web API does what its OpenAPI document says, whatever it is sent."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import running_bot
from tests.end_to_end.test_web_api import TOKEN

EXAMPLES = 12
"""For each operation and phase; hundreds find no more, but take minutes."""


@pytest.mark.usefixtures("worker")
async def test_nothing_it_is_sent_brings_an_answer_that_is_not_in_its_document(
    bot_settings: BotSettings, tmp_path: Path
) -> None:
    settings = bot_settings.model_copy(update={"api_token": SecretStr(TOKEN), "api_rate_limit": 1_000_000})
    async with running_bot(settings) as address:
        words = [sys.executable, "-m", "schemathesis.cli", "run", f"{address}/api/openapi.json"]
        words += ["--header", f"Authorization: Bearer {TOKEN}", "--max-examples", str(EXAMPLES)]
        words += ["--generation-deterministic", "--workers", "1", "--no-color"]
        asking = await asyncio.create_subprocess_exec(
            *words, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        told, _ = await asking.communicate()
    assert asking.returncode == 0, told.decode()
