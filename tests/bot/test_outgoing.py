"""When Telegram may have a file, told before it can."""

import socket
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiogram import Bot
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramNetworkError

from bot.delivery.outgoing import OutgoingFile, OutgoingPath
from bot.local.telegram import STAND_IN_TOKEN, serve
from bot.session import Session
from tasks.storage import CHUNK
from tests.person import MINA

CONTENT = b"PK" * (CHUNK + 7)


class Noted:
    """How much was out when it was noted that Telegram may have the file."""

    def __init__(self) -> None:
        self.at: list[int] = []
        self.outgoing: OutgoingFile | None = None

    async def __call__(self) -> None:
        assert self.outgoing
        self.at.append(self.outgoing.sent)


async def chunks() -> AsyncIterator[bytes]:
    for start in range(0, len(CONTENT), CHUNK):
        yield CONTENT[start : start + CHUNK]


def streamed(path: Path, noted: Noted, size: int = len(CONTENT)) -> OutgoingFile:
    return OutgoingFile(path.name, size, chunks, noted)


def by_path(path: Path, noted: Noted) -> OutgoingFile:
    return OutgoingPath(path, noted)


def bot_of(url: str) -> Bot:
    return Bot(STAND_IN_TOKEN, Session(api=TelegramAPIServer.from_base(url, is_local=True)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a b.zip"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize(("make", "before"), [(streamed, 2 * CHUNK), (by_path, 0)])
async def test_it_is_noted_once_and_right_before(
    path: Path, make: Callable[[Path, Noted], OutgoingFile], before: int
) -> None:
    noted = Noted()
    noted.outgoing = outgoing = make(path, noted)
    async with serve(local=Path("/")) as telegram, bot_of(telegram.url).context() as bot:
        message = await bot.send_document(MINA, outgoing)
        assert message.document
        assert telegram.files.path(message.document.file_id).read_bytes() == CONTENT
    assert noted.at == [before]
    assert outgoing.sent == outgoing.size
    assert message.document.file_name == "a b.zip"


@pytest.mark.parametrize("make", [streamed, by_path])
async def test_a_server_that_is_not_there_can_not_have_it(
    path: Path, make: Callable[[Path, Noted], OutgoingFile]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        outgoing = make(path, noted := Noted())
        async with bot_of(f"http://127.0.0.1:{nobody.getsockname()[1]}").context() as bot:
            with pytest.raises(TelegramNetworkError):
                await bot.send_document(MINA, outgoing)
    assert noted.at == []
    assert not outgoing.handed_over


async def test_what_ends_early_does_not_arrive_cut(path: Path) -> None:
    outgoing = streamed(path, Noted(), size=len(CONTENT) + 1)
    async with serve() as telegram, bot_of(telegram.url).context() as bot:
        with pytest.raises(TelegramNetworkError):
            await bot.send_document(MINA, outgoing)
        assert telegram.files.uploads == 0
    assert not outgoing.handed_over


async def test_a_server_that_went_away_without_a_word_is_noticed() -> None:
    async with bot_of("http://127.0.0.1").context() as bot:
        assert isinstance(bot.session, Session)
        connector = (await bot.session.create_session()).connector
        made = connector._socket_factory((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("", 0)))  # type: ignore[union-attr]  # noqa: SLF001
        with made:
            assert made.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
