"""Numbers and names of sources."""

import pytest

from bot.settings import BotSettings
from tasks.errors import UnknownSource
from tasks.sources.consumet import PROVIDERS
from tasks.sources.registry import open_sources
from tests.tasks.sources import test_consumet, test_demo, test_library
from tests.tasks.sources.contract import all_contracts


async def test_numbers_and_names_are_the_promised_ones() -> None:
    async with open_sources(BotSettings(_env_file=None, mangapi_url="http://127.0.0.1:1")) as sources:
        assert [(source.number, source.name) for source in sources.all()] == [
            (0, "mangadex"),
            (7, "mangahere"),
            (8, "mangapill"),
            (11, "mangakakalot"),
            (12, "mangareader"),
        ]
        assert sources.get("8") is sources.get(" MangaPill ")
        for nobody in ("demo", "", "08", "<b>", "x" * 500):
            with pytest.raises(UnknownSource):
                sources.get(nobody)


async def test_the_demo_library_is_there_where_nothing_else_is() -> None:
    async with open_sources(BotSettings(_env_file=None)) as sources:
        assert [(source.number, source.name) for source in sources.all()] == [(30, "demo")]


async def test_only_the_providers_that_were_asked_for_are_offered() -> None:
    settings = BotSettings(_env_file=None, mangapi_url="http://127.0.0.1:1", consumet_providers=("mangapill",))
    async with open_sources(settings) as sources:
        assert [source.name for source in sources.all()] == ["mangapill"]


def test_every_source_is_held_to_the_contract() -> None:
    assert {test_demo.TestDemo.name, test_library.TestLibrary.name, *(one.name for one in PROVIDERS)} == all_contracts()
    assert len(PROVIDERS) == len(test_consumet.ConsumetContract.__subclasses__())
