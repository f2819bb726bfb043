"""What stories share whose source is a web server of the tests, in the place of a Consumet API."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, on_database, running_bot
from tests.end_to_end.shelf import Shelf
from tests.web_server import WebServer


@pytest.fixture
def shelf(source_server: WebServer) -> Shelf:
    return Shelf(source_server)


@pytest.fixture(scope="module")
def consumet(source_server: WebServer, session_settings: BotSettings) -> dict[str, str]:
    """Settings of a worker whose source is the test's server, with a queue apart from the demo library's worker."""
    broker = on_database(session_settings, 1).broker_url
    return {"MANGAPI_URL": source_server.url, "CONSUMET_PROVIDERS": "mangapill", "CELERY_BROKER_URL": broker}


@pytest.fixture(scope="class")
def consumet_worker(start_worker: StartWorker, consumet: dict[str, str]) -> Iterator[None]:
    with start_worker("consumet", **consumet):
        yield


@pytest.fixture
def consumet_settings(bot_settings: BotSettings, consumet: dict[str, str]) -> BotSettings:
    return bot_settings.model_copy(
        update={
            "mangapi_url": consumet["MANGAPI_URL"],
            "consumet_providers": ("mangapill",),
            "celery_broker_url": SecretStr(consumet["CELERY_BROKER_URL"]),
        }
    )


@pytest.fixture
async def consumet_bot(consumet_settings: BotSettings) -> AsyncIterator[BotSettings]:
    async with running_bot(consumet_settings):
        yield consumet_settings
