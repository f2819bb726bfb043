"""Numbers and names of sources."""

from typing import Any

import pytest

from bot.settings import BotSettings
from tasks.errors import UnknownSource
from tasks.sources.consumet import PROVIDERS
from tasks.sources.mangadex import MangaDex
from tasks.sources.registry import open_sources
from tests.tasks.sources import test_consumet, test_demo, test_library, test_mangadex
from tests.tasks.sources.contract import all_contracts


@pytest.mark.parametrize("mangadex", ["", "http://127.0.0.1:2"])
async def test_numbers_and_names_are_the_promised_ones(mangadex: str) -> None:
    settings = BotSettings(_env_file=None, mangapi_url="http://127.0.0.1:1", mangadex_api_url=mangadex)
    async with open_sources(settings) as sources:
        assert isinstance(sources.get("mangadex"), MangaDex) is bool(mangadex)
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


@pytest.mark.parametrize(
    ("said", "names"),
    [
        ({}, ["mangadex", "demo"]),
        ({"mangadex_api_url": ""}, ["demo"]),
        ({"mangadex_api_url": "https://api.mangadex.org"}, ["mangadex"]),
        ({"mangadex_api_url": "", "library_dir": "/"}, ["library"]),
        ({"mangadex_api_url": "", "opds_catalogs": "home=http://h/opds other=https://u:p@h/x"}, ["home", "other"]),
    ],
)
async def test_the_demo_library_is_there_where_no_other_is_named(said: dict[str, Any], names: list[str]) -> None:
    async with open_sources(BotSettings(_env_file=None, **said)) as sources:
        assert [source.name for source in sources.all()] == names


async def test_only_the_providers_that_were_asked_for_are_offered() -> None:
    settings = BotSettings(
        _env_file=None, mangadex_api_url="", mangapi_url="http://127.0.0.1:1", consumet_providers=("mangapill",)
    )
    async with open_sources(settings) as sources:
        assert [source.name for source in sources.all()] == ["mangapill"]


async def test_a_provider_that_we_know_nothing_of_is_offered_under_a_number_of_its_own() -> None:
    settings = BotSettings.model_validate(
        {"mangadex_api_url": "", "mangapi_url": "http://127.0.0.1:1", "consumet_providers": "mangapill asurascans:13"}
    )
    async with open_sources(settings) as sources:
        assert [(source.number, source.name) for source in sources.all()] == [(8, "mangapill"), (13, "asurascans")]


def test_every_source_is_held_to_the_contract() -> None:
    others = {test_demo.TestDemo.name, test_library.TestLibrary.name, test_mangadex.TestMangaDex.name, "home"}
    assert {*others, *(one.name for one in PROVIDERS)} == all_contracts()
    assert len(PROVIDERS) == len(test_consumet.ConsumetContract.__subclasses__())
