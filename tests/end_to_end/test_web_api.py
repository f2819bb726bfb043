"""The web API, as programs use it: real HTTP to the bot's process, real workers."""

import asyncio
import errno
import io
import json
import logging
import os
import re
import socket
import time
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from celery import Celery
from celery.result import AsyncResult
from openapi_pydantic import OpenAPI
from pydantic import SecretStr

from bot.delivery.pickup import OTHERS_SECONDS
from bot.memory.fetches import Fetches
from bot.memory.watchers import Holder, Watchers
from bot.settings import BotSettings
from bot.web import reading
from tasks.resources import open_redis
from tasks.settings import SettingsError
from tests.conftest import running_bot
from tests.end_to_end.shelf import Shelf
from tests.end_to_end.test_main_job import job_folders
from tests.person import Person, buttons, soon
from tests.web_server import as_json

TOKEN = "a-token-of-the-tests"  # noqa: S105 - of nothing else


async def asked(api: httpx.AsyncClient, *ids: str, **more: Any) -> str:
    """The id of the job for those chapters of the demo library."""
    answer = await api.post("/api/download", json={"ids": ids, "source": "demo", **more})
    assert answer.status_code == HTTPStatus.ACCEPTED, answer.text
    return str(answer.json()["task_id"])


async def ended(api: httpx.AsyncClient, task_id: str) -> dict[str, Any]:
    """The status of the job once it has ended."""
    found: dict[str, Any] = {}

    async with asyncio.timeout(40):
        while found.get("state") not in {"SUCCESS", "FAILURE", "REVOKED"}:
            found = (await api.get(f"/api/download/status/{task_id}")).json()
            await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def slow_reader(api: httpx.AsyncClient, path: str) -> AsyncIterator[asyncio.StreamReader]:
    """Somebody who has asked for that, and takes nearly nothing before they read on."""
    with socket.socket() as narrow:
        narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        narrow.setblocking(False)
        await asyncio.get_running_loop().sock_connect(narrow, (api.base_url.host, api.base_url.port))
        reader, writer = await asyncio.open_connection(sock=narrow, limit=1000)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n")
        assert b"200 OK" in head
        yield reader
        writer.close()


class BadDisk(io.FileIO):
    """A file that can be read so many times."""

    def __init__(self, path: Path, good_reads: int = 1) -> None:
        super().__init__(path)
        self._left = good_reads

    def read(self, size: int | None = -1, /) -> Any:
        if not self._left:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        self._left -= 1
        return super().read(size)


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and code of an answer that says what is wrong, with a sentence."""
    told = answer.json()
    assert set(told) == {"error", "message"}
    assert told["message"].endswith((".", "…"))
    assert "Traceback" not in answer.text
    return answer.status_code, told["error"]


@pytest.mark.usefixtures("worker")
class TestDownloads:
    async def test_a_program_asks_waits_and_fetches(self, api: httpx.AsyncClient, settings: BotSettings) -> None:
        answer = await api.post(
            "/api/download", json={"ids": ["lantern-1", "lantern-2"], "source": 30, "title": "Mine", "format": "cbz"}
        )
        assert answer.status_code == HTTPStatus.ACCEPTED
        taken = answer.json()
        assert set(taken) == {"task_id", "celery_task_id", "status", "message"}
        told = await ended(api, taken["task_id"])
        assert (told["state"], told["progress"], told["total_chapters"]) == ("SUCCESS", 100, 2)
        celery = Celery(backend=settings.result_backend)
        await soon(lambda: AsyncResult(taken["celery_task_id"], app=celery).state == "SUCCESS", "Celery knows as well")
        file = await api.get(f"/api/download/file/{taken['task_id']}")
        assert file.status_code == HTTPStatus.OK
        assert "Mine%20-%201-2.cbz" in file.headers["content-disposition"]
        assert 'filename="Mine - 1-2.cbz"' in file.headers["content-disposition"]
        assert len(file.content) == told["files"][0]["size"]
        with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
            assert archive.testzip() is None
            assert "ComicInfo.xml" in archive.namelist()
        await soon(lambda: job_folders(settings) == [], "what was fetched is cleaned up")
        assert (await ended(api, taken["task_id"]))["status"] == "collected"
        assert problem(await api.get(f"/api/download/file/{taken['task_id']}")) == (404, "file_gone")

    async def test_json_form_and_query_ask_for_the_same(self, api: httpx.AsyncClient) -> None:
        ids = ["lantern-1", "lantern-2"]
        answers = [
            await api.post("/api/download", json={"ids": ids, "source": "demo"}),
            await api.post("/api/download", data={"ids[]": ids, "source": "30"}),
            await api.post("/api/download", params={"ids[]": ids, "source": 30}),
            await api.post("/api/download", params={"ids": ids, "source": "demo"}),
            await api.post(
                "/api/download", files={"ids": (None, ids[0]), "ids[]": (None, ids[1]), "source": (None, "30")}
            ),
        ]
        assert [answer.status_code for answer in answers] == [HTTPStatus.ACCEPTED] * 5
        assert len({answer.json()["task_id"] for answer in answers}) == 1

    async def test_pieces_in_any_order_are_the_file_and_only_all_of_them_end_it(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        head = await api.head(path)
        assert (head.status_code, head.headers["content-length"], head.content) == (200, str(size), b"")
        last = await api.get(path, headers={"Range": "bytes=-1000"})
        assert (last.status_code, last.headers["content-range"]) == (206, f"bytes {size - 1000}-{size - 1}/{size}")
        for nothing in (f"bytes={size}-", "bytes=-0"):
            assert problem(await api.get(path, headers={"Range": nothing})) == (416, "no_such_range")
        other = await api.get(path, headers={"Range": "bytes=0-9", "If-Range": '"another"'})
        assert (other.status_code, len(other.content)) == (200, size)
        await soon(lambda: job_folders(settings) == [], "with that, all of it was fetched")

    async def test_a_fetch_that_breaks_off_is_gone_on_with(self, api: httpx.AsyncClient, settings: BotSettings) -> None:
        task_id = await asked(api, "lantern-1", "lantern-2", "lantern-3")
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        async with api.stream("GET", path) as response:
            got = await anext(response.aiter_raw(1000))
        rest = await api.get(path, headers={"Range": f"bytes={len(got)}-", "If-Range": response.headers["etag"]})
        assert rest.status_code == HTTPStatus.PARTIAL_CONTENT
        whole = got + rest.content
        assert len(whole) == size
        with zipfile.ZipFile(io.BytesIO(whole)) as archive:
            assert archive.testzip() is None
        await soon(lambda: job_folders(settings) == [], "what was fetched is cleaned up")

    async def test_who_leaves_before_they_have_it_all_has_not_fetched_it(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        await ended(api, task_id)
        path = f"/api/download/file/{task_id}"
        async with slow_reader(api, path) as slow:
            await slow.read(1000)
        assert len((await api.get(path, headers={"Range": "bytes=0-9"})).content) == 10
        assert job_folders(settings) == [task_id]
        await api.get(path)
        await soon(lambda: job_folders(settings) == [], "now somebody has it all")

    async def test_nothing_goes_while_somebody_still_fetches(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1", "lantern-2", "lantern-3", format="pdf")
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        async with slow_reader(api, path) as slow:
            assert len((await api.get(path)).content) == size
            assert job_folders(settings) == [task_id]
            assert (await api.get(f"/api/download/status/{task_id}")).json()["status"] == "ready"
            _, _, body = (await slow.read()).partition(b"\r\n\r\n")
        assert len(body) == size
        await soon(lambda: job_folders(settings) == [], "the last one who fetched is done")

    async def test_who_asked_for_the_same_fetches_it_as_well(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        assert await asked(api, "lantern-1") == task_id
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        assert len((await api.get(path)).content) == size
        for part in (f"bytes={size // 2}-", "bytes=0-"):
            assert job_folders(settings) == [task_id]
            assert (await ended(api, task_id))["status"] == "ready"
            assert (await api.get(path, headers={"Range": part})).status_code == HTTPStatus.PARTIAL_CONTENT
        await soon(lambda: job_folders(settings) == [], "both have it")

    async def test_who_never_comes_for_the_same_is_waited_for_a_while(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        await asked(api, "lantern-1")
        await ended(api, task_id)
        await api.get(f"/api/download/file/{task_id}")
        async with open_redis(settings.redis_url) as redis:
            for_a_while = partial(Watchers(redis).held_until, time.time() + OTHERS_SECONDS + 60)
            await soon(for_a_while, "it is not kept for a day any more")
            assert await for_a_while() == [(task_id, Holder.API)]
        assert job_folders(settings) == [task_id]

    async def test_an_answer_that_can_not_go_on_breaks_off_and_counts_for_nothing(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        told = (await ended(api, task_id))["files"][0]
        [file] = (settings.data_path / "jobs" / task_id).rglob(told["name"])
        os.truncate(file, told["size"] // 2)
        path = f"/api/download/file/{task_id}"
        with pytest.raises(httpx.RemoteProtocolError):
            await api.get(path)
        assert len((await api.get(path, headers={"Range": "bytes=0-9"})).content) == 10
        assert job_folders(settings) == [task_id]
        os.truncate(file, 0)
        assert problem(await api.get(path)) == (404, "file_gone")

    async def test_what_was_fetched_goes_when_the_last_one_is_done_who_had_a_link(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1", "lantern-2", "lantern-3")
        await ended(api, task_id)
        async with open_redis(settings.redis_url) as redis:
            link = await Fetches(redis).new_link(task_id, 1)
        async with slow_reader(api, f"/files/{link}") as slow:
            await api.get(f"/api/download/file/{task_id}")
            assert job_folders(settings) == [task_id]
            await slow.read()
        await soon(lambda: job_folders(settings) == [], "the last one who fetched is done")

    async def test_a_range_of_all_bytes_is_a_range_and_several_or_none_are_all_of_it(
        self, api: httpx.AsyncClient, subtests: pytest.Subtests
    ) -> None:
        task_id = await asked(api, "lantern-1")
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        async with slow_reader(api, path):  # so it stays, whoever has all of it
            for asked_for in ("bytes=0-", f"bytes=-{size + 1}", f"bytes=0-{size}"):
                async with api.stream("GET", path, headers={"Range": asked_for}) as answer:
                    assert answer.status_code == HTTPStatus.PARTIAL_CONTENT
                    assert answer.headers["content-range"] == f"bytes 0-{size - 1}/{size}"
            for asked_for in ("bytes=0-1,3-4", "bytes=5-2", "bytes=-", "pages=1-2", "bytes=" + "9" * 5000 + "-"):
                with subtests.test(asked_for=asked_for[:20]):
                    async with api.stream("GET", path, headers={"Range": asked_for}) as answer:
                        assert answer.status_code == HTTPStatus.OK
                        assert "content-range" not in answer.headers
        head = await api.head(path, headers={"Range": "bytes=5-9"})
        assert (head.status_code, head.headers["content-length"]) == (200, str(size))

    async def test_a_file_that_cannot_be_read_on_only_breaks_off(
        self, api: httpx.AsyncClient, settings: BotSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = await asked(api, "lantern-1", "lantern-2")
        await ended(api, task_id)
        path, got = f"/api/download/file/{task_id}", b""
        with monkeypatch.context() as spoiled:
            spoiled.setattr(Path, "open", lambda path, _: BadDisk(path))
            with suppress(httpx.TransportError):
                async with api.stream("GET", path) as answer:
                    async for chunk in answer.aiter_raw():
                        got += chunk
        assert job_folders(settings) == [task_id]
        whole = (await api.get(path)).content
        assert whole.startswith(got)
        assert len(got) < len(whole)
        await soon(lambda: job_folders(settings) == [], "now all of it was fetched")

    async def test_a_file_that_cannot_be_read_at_all_is_asked_for_again_later(
        self, api: httpx.AsyncClient, settings: BotSettings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        task_id = await asked(api, "lantern-1")
        await ended(api, task_id)
        with monkeypatch.context() as spoiled:
            spoiled.setattr(Path, "open", lambda path, _: BadDisk(path, good_reads=0))
            assert problem(await api.get(f"/api/download/file/{task_id}")) == (503, "storage_down")
        assert job_folders(settings) == [task_id]

    async def test_without_redis_what_has_begun_is_sent_to_its_end_and_nothing_after_it(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1", "lantern-2", "lantern-3", format="pdf")
        size = (await ended(api, task_id))["files"][0]["size"]
        path = f"/api/download/file/{task_id}"
        async with slow_reader(api, path) as slow, open_redis(settings.redis_url) as redis:
            await redis.config_set("maxmemory", 1)  # it takes no writes
            try:
                _, _, body = (await slow.read()).partition(b"\r\n\r\n")
            finally:
                await redis.config_set("maxmemory", 0)
        assert len(body) == size
        assert job_folders(settings) == [task_id]
        await api.get(path)
        await soon(lambda: job_folders(settings) == [], "now it is known that all of it was fetched")
        counted = '{route="/api/download/file/{task_id}",status="200"} 2.0'
        assert counted in (await api.get("/metrics")).text

    async def test_what_is_about_to_go_is_not_given_and_who_asks_gets_a_new_one(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        await ended(api, task_id)
        async with open_redis(settings.redis_url) as redis:
            # As a bot does that is killed before it orders the clean-up.
            await Watchers(redis).release(task_id, Holder.API)
        assert problem(await api.get(f"/api/download/file/{task_id}")) == (404, "file_gone")
        again = await asked(api, "lantern-1")
        assert again != task_id
        await ended(api, again)
        assert (await api.get(f"/api/download/file/{again}")).status_code == HTTPStatus.OK

    async def test_delete_of_a_file_that_others_want_says_so(
        self, api: httpx.AsyncClient, settings: BotSettings
    ) -> None:
        task_id = await asked(api, "lantern-1")
        await ended(api, task_id)
        async with open_redis(settings.redis_url) as redis:
            await Watchers(redis).hold(task_id, Holder.LINK, time.time() + 60)
        answer = await api.delete(f"/api/download/{task_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "SUCCESS")
        assert "Others wait" in answer.json()["message"]

    async def test_delete_cancels(self, api: httpx.AsyncClient, settings: BotSettings) -> None:
        task_id = await asked(api, "lantern-1")
        answer = await api.delete(f"/api/download/{task_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "REVOKED")
        status = await ended(api, task_id)
        assert status["state"] == "REVOKED"
        assert status["created_at"] <= status["ended_at"] <= time.time()
        assert (await api.delete(f"/api/download/{task_id}")).status_code == HTTPStatus.OK
        assert problem(await api.get(f"/api/download/file/{task_id}")) == (404, "file_gone")
        await soon(lambda: job_folders(settings) == [], "a cancelled job leaves nothing")

    async def test_too_many_jobs_at_once_are_refused(self, bot_settings: BotSettings) -> None:
        few = bot_settings.model_copy(update={"max_active_jobs_per_user": 1, "max_chapters_per_job": 2})
        queue = few.model_copy(update={"celery_broker_url": SecretStr(_nobody_listens(few))})
        async with running_bot(queue) as address, httpx.AsyncClient(base_url=address) as api:
            task_id = await asked(api, "lantern-1")
            told = (await api.get(f"/api/download/status/{task_id}")).json()
            assert (told["state"], told["position"], told["files"]) == ("PENDING", 1, [])
            assert problem(await api.get(f"/api/download/file/{task_id}")) == (409, "not_ready")
            more = {"ids": ["lantern-2"], "source": "demo"}
            assert problem(await api.post("/api/download", json=more)) == (429, "too_many_jobs")
            many = {"ids": ["lantern-1", "lantern-2", "lantern-3"], "source": "demo"}
            assert problem(await api.post("/api/download", json=many)) == (422, "too_many_chapters")


def _nobody_listens(settings: BotSettings) -> str:
    return f"redis+socket://{settings.redis_socket}?virtual_host=2"


@pytest.mark.usefixtures("worker")
class TestWithChats:
    async def test_a_program_keeps_what_a_chat_got_and_a_chat_what_a_program_takes_back(
        self, bot_settings: BotSettings, settings: BotSettings, mina: Person
    ) -> None:
        # With PUBLIC_URL both want one file of any size, which makes it the same request.
        with_links = bot_settings.model_copy(update={"public_url": "https://comics.example.org"})
        async with running_bot(with_links) as address, httpx.AsyncClient(base_url=address) as api:
            task_id = await asked(api, "lantern-1")
            await mina.sends("/download demo lantern-1")
            await mina.receives_document()
            await mina.sees("Done")
            assert len((await api.get(f"/api/download/file/{task_id}")).content) > 100_000
            await soon(lambda: job_folders(settings) == [], "now nobody wants it")

    async def test_what_is_too_large_for_a_chat_comes_as_a_link(
        self, bot_settings: BotSettings, settings: BotSettings, mina: Person
    ) -> None:
        with_links = bot_settings.model_copy(
            update={"public_url": "https://comics.example.org", "upload_limit_mb": 2, "api_token": SecretStr(TOKEN)}
        )
        async with running_bot(with_links) as address, httpx.AsyncClient(base_url=address) as nobody:
            await mina.sends("/download demo lantern-1 lantern-2 lantern-3")
            message = await mina.sees("Too large for the chat")
            assert "18 pages" in message["text"]
            await mina.sees("Done")
            link = next(button["url"] for button in buttons(message) if "url" in button)
            path = link.removeprefix("https://comics.example.org")
            for _ in range(2):  # it is there for everybody in the chat
                file = await nobody.get(path)
                with zipfile.ZipFile(io.BytesIO(file.content)) as archive:
                    assert archive.testzip() is None
            assert (await nobody.get(path, headers={"Range": "bytes=0-3"})).content == b"PK\x03\x04"
            assert problem(await nobody.get("/files/" + "x" * 32)) == (404, "link_expired")
            assert len(job_folders(settings)) == 1
        assert await mina.breaches() == []


class TestTheDoor:
    @pytest.fixture
    async def guarded(self, bot_settings: BotSettings) -> AsyncIterator[httpx.AsyncClient]:
        with_token = bot_settings.model_copy(update={"api_token": SecretStr(TOKEN), "api_rate_limit": 5})
        async with running_bot(with_token) as address, httpx.AsyncClient(base_url=address) as client:
            yield client

    async def test_only_the_token_opens_it(self, guarded: httpx.AsyncClient) -> None:
        right = {"Authorization": f"Bearer {TOKEN}"}
        refused = await guarded.get("/api/sources")
        assert problem(refused) == (401, "no_token")
        assert refused.headers["www-authenticate"] == "Bearer"
        for wrong in (f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN):
            answer = await guarded.get("/api/sources", headers={"Authorization": wrong})
            assert problem(answer)[0] == HTTPStatus.UNAUTHORIZED
        forwarded = {**right, "X-Forwarded-For": "203.0.113.7", "Host": "comics.example.org"}
        assert (await guarded.get("/api/sources", headers=forwarded)).status_code == HTTPStatus.OK
        for path in ("/api/openapi.json", "/api/docs", "/api/health"):
            assert (await guarded.get(path, headers={"Host": "comics.example.org"})).status_code != 401

    async def test_who_asks_too_often_is_told_when_to_come_back(self, guarded: httpx.AsyncClient) -> None:
        right = {"Authorization": f"Bearer {TOKEN}"}
        answers = [await guarded.get("/api/sources", headers=right) for _ in range(6)]
        assert [answer.status_code for answer in answers[:5]] == [HTTPStatus.OK] * 5
        assert problem(answers[5]) == (429, "too_fast")
        assert 1 <= int(answers[5].headers["retry-after"]) <= 60

    async def test_without_a_token_only_this_machine_is_answered(
        self, api: httpx.AsyncClient, subtests: pytest.Subtests
    ) -> None:
        assert (await api.get("/api/sources")).status_code == HTTPStatus.OK
        for headers in (
            {"X-Forwarded-For": "203.0.113.7"},
            {"Forwarded": "for=203.0.113.7"},
            {"Host": "comics.example.org"},
            {"Host": "127.0.0.1.example.org:8000"},
            {"Origin": "https://evil.example.org"},
            {"Origin": "null"},
            {"Origin": "http://["},
        ):
            for path in ("/api/sources", "/api/health", "/api/openapi.json", "/api/docs", "/metrics"):
                with subtests.test(headers=headers, path=path):
                    assert problem(await api.get(path, headers=headers)) == (401, "not_local")
        stranger = {"Host": "comics.example.org"}
        assert problem(await api.get("/files/" + "x" * 32, headers=stranger)) == (404, "link_expired")


def form_of(*headers: str, name: str = "ids", value: str = "x") -> bytes:
    """A form of one field."""
    lines = ("--y", f'Content-Disposition: form-data; name="{name}"', *headers, "", value, "--y--", "")
    return "\r\n".join(lines).encode()


BODIES = [
    (b"{", "application/json", (400, "bad_request")),
    (b"\xff\xfe", "application/json", (400, "bad_request")),
    (b"[]", "application/json", (400, "bad_request")),
    (b"[" * 100_000, "application/json", (400, "bad_request")),
    (b'{"ids": ["1"], "ids": ["2"], "source": 0}', "application/json", (400, "bad_request")),
    (b'{"ids": ["1"], "source": NaN}', "application/json", (400, "bad_request")),
    (b'{"ids": ["1"], "source": 0}', "text/plain", (400, "bad_request")),
    (b'{"ids": ["1"], "source": 0}', "application/json; charset=nonsense", (404, "unknown_source")),
    (b"source=1&source=2&ids=1", "application/x-www-form-urlencoded", (400, "bad_request")),
    (b"--x", "multipart/form-data; boundary=y", (400, "bad_request")),
    (form_of("Content-Transfer-Encoding: nonsense"), "multipart/form-data; boundary=y", (400, "bad_request")),
    (form_of("this is no header"), "multipart/form-data; boundary=y", (400, "bad_request")),
    (form_of("X: " + "x" * 100_000), "multipart/form-data; boundary=y", (400, "bad_request")),
    (form_of(value="x" * 60, name="_charset_"), "multipart/form-data; boundary=y", (400, "bad_request")),
    (b"", "application/json", (422, "invalid")),
    (b"{}", "application/json", (422, "invalid")),
    (b'{"ids": [], "source": "demo"}', "application/json", (422, "invalid")),
    (b'{"ids": "lantern-1", "source": "demo"}', "application/json", (422, "invalid")),
    (b'{"ids": [""], "source": "demo"}', "application/json", (422, "invalid")),
    (b'{"ids": [1.5], "source": "demo"}', "application/json", (422, "invalid")),
    (b'{"ids": ["1"], "source": true}', "application/json", (422, "invalid")),
    (b'{"ids": ["1"], "source": -1}', "application/json", (422, "invalid")),
    (b'{"ids": ["1"], "source": "demo", "format": "rar"}', "application/json", (422, "invalid")),
    (b'{"ids": ["1"], "source": "demo", "more": 1}', "application/json", (422, "invalid")),
    (b'{"ids": ["1"], "source": "nowhere"}', "application/json", (404, "unknown_source")),
    (b'{"ids": ["no-such-chapter"], "source": "demo"}', "application/json", (404, "not_found")),
    (b'{"ids": ["' + b"x" * 2_200_000 + b'"], "source": "demo"}', "application/json", (413, "too_large")),
]
PATHS = [
    ("GET", "/api/download/status/0123456789abcdef", (404, "unknown_task")),
    ("GET", "/api/download/status/..%2F..%2Fetc%2Fpasswd", (404, "unknown_task")),
    ("GET", "/api/download/file/..%2F..%2F..%2Fetc%2Fpasswd", (404, "unknown_task")),
    ("GET", "/api/download/file/%00", (404, "unknown_task")),
    ("DELETE", "/api/download/*", (404, "unknown_task")),
    ("GET", "/files/..%2F..%2Fetc", (404, "link_expired")),
    ("GET", "/api/search", (422, "invalid")),
    ("GET", "/api/search?query=%20", (422, "invalid")),
    ("GET", "/api/search?query=x&query=y", (400, "bad_request")),
    ("GET", "/api/search?query=" + "x" * 201, (422, "invalid")),
    ("GET", "/api/search?query=status:nonsense", (422, "invalid")),
    ("GET", "/api/search?query=x&source=nowhere", (404, "unknown_source")),
    ("GET", "/api/chapters?source=demo", (422, "invalid")),
    ("GET", "/api/chapters?source=demo&id=nothing", (404, "not_found")),
    ("GET", "/nothing", (404, "not_found")),
    ("PATCH", "/api/download", (405, "method_not_allowed")),
]


NO_HTTP = [
    b"nonsense\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET /" + b"x" * 10_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nX: " + b"x" * 10_000 + b"\r\n\r\n",
    b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: many\r\n\r\n",
    b"GET /api/health HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: miracles\r\n\r\n",
    b"GET /nothing HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: miracles\r\n\r\n",
]


def texts_of(document: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Every text of a JSON document, with the name that it has there."""
    if isinstance(document, str):
        yield name, document
    elif isinstance(document, dict):
        for key, value in document.items():
            yield from texts_of(value, key)
    elif isinstance(document, list):
        for value in document:
            yield from texts_of(value, name)


def _length(headers: list[str]) -> str:
    return next(one.partition(": ")[2] for one in headers if one.lower().startswith("content-length"))


class TestBadInput:
    async def test_each_body_gets_a_sentence(self, api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
        for body, content_type, expected in BODIES:
            with subtests.test(body=body[:60], content_type=content_type):
                answer = await api.post("/api/download", content=body, headers={"Content-Type": content_type})
                assert problem(answer) == expected

    async def test_a_body_that_is_not_packed_as_it_says_gets_a_sentence(
        self, api: httpx.AsyncClient, subtests: pytest.Subtests
    ) -> None:
        for encoding in ("gzip", "deflate", "nonsense"):
            with subtests.test(encoding=encoding):
                headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
                answer = await api.post("/api/download", content=b"{nothing packed", headers=headers)
                assert problem(answer) == (400, "bad_request")

    async def test_what_is_wrong_is_said_in_words_of_the_document(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/api/download", json={"ids": ["1"], "source": 1.5})
        assert answer.json()["message"].startswith("source: ")
        answer = await api.post("/api/download", json={"ids": ["1", ""], "source": 1})
        assert answer.json()["message"].startswith("ids.1: ")

    async def test_who_leaves_in_the_middle_of_their_words_is_no_error_of_ours(
        self, api: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "bot.web")
        _, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
        head = "POST /api/download HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        writer.write(head.encode())
        await api.get("/api/docs")
        writer.close()
        await soon(lambda: "POST /api/download" in caplog.text, "the end of it")
        assert not [one for one in caplog.records if one.levelname == "ERROR"]

    async def test_no_path_or_query_leads_astray(self, api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
        for method, path, expected in PATHS:
            with subtests.test(method=method, path=path[:60]):
                assert problem(await api.request(method, path)) == expected

    async def test_what_is_no_http_gets_a_sentence(self, api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
        for head in NO_HTTP:
            with subtests.test(head=head[:40]):
                reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
                writer.write(head)
                status, *headers = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                told = json.loads(await reader.read(int(_length(headers))))
                writer.close()
                assert (status.partition(" ")[2], told["error"]) == ("400 Bad Request", "bad_request")
                assert "Content-Type: application/json; charset=utf-8" in headers
                assert "X-Content-Type-Options: nosniff" in headers
                assert told["message"].endswith(".")

    async def test_a_body_that_never_ends_is_not_waited_for(
        self, api: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(reading, "BODY_SECONDS", 0.2)
        reader, writer = await asyncio.open_connection(api.base_url.host, api.base_url.port)
        head = "POST /api/download HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{"
        writer.write(head.encode())
        assert b"400 Bad Request" in await reader.readline()
        writer.close()

    async def test_a_thousand_connections_that_say_nothing_keep_nobody_out(self, api: httpx.AsyncClient) -> None:
        with ExitStack() as opened:
            for number in range(1000):
                one = opened.enter_context(socket.socket())
                one.setblocking(False)
                await asyncio.get_running_loop().sock_connect(one, (api.base_url.host, api.base_url.port))
                if number % 2:
                    one.send(b"GET /api/sources HTTP/1.1\r\nHost: 127")
            assert (await api.get("/api/sources")).status_code == HTTPStatus.OK

    async def test_a_taken_port_stops_the_start_with_one_line(self, bot_settings: BotSettings) -> None:
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            taken = bot_settings.model_copy(update={"api_port": other.getsockname()[1]})
            with pytest.raises(SettingsError, match=r"API_PORT is .* can't be listened at"):
                async with running_bot(taken):
                    pass


class TestCatalogue:
    async def test_what_is_found_can_be_asked_for(self, api: httpx.AsyncClient) -> None:
        found = (await api.get("/api/search", params={"query": "lantern"})).json()
        assert [(manga["source"], manga["id"]) for manga in found["results"]] == [("demo", "lantern")]
        assert found["silent"] == []
        listed = (await api.get("/api/chapters", params={"source": 30, "id": "lantern"})).json()
        assert listed["manga"]["title"] == "The Lantern Keeper's Cat"
        assert [chapter["id"] for chapter in listed["chapters"]][:2] == ["lantern-1", "lantern-2"]
        sources = (await api.get("/api/sources")).json()["sources"]
        assert [(source["number"], source["name"], source["up"]) for source in sources] == [(30, "demo", True)]

    async def test_nothing_found_and_source_down_are_two_answers(
        self, consumet_settings: BotSettings, shelf: Shelf
    ) -> None:
        async with running_bot(consumet_settings) as address, httpx.AsyncClient(base_url=address, timeout=60) as api:
            shelf.server.on("/manga/mangapill/nothing?page=1", as_json({"results": []}))
            nothing = await api.get("/api/search?query=nothing")
            assert (nothing.status_code, nothing.json()["results"]) == (200, [])
            shelf.server.on("/manga/mangapill/harbour?page=1", as_json({"message": "down"}, 500))
            assert problem(await api.get("/api/search?query=harbour")) == (503, "source_down")

    async def test_the_document_and_its_page_are_served(self, api: httpx.AsyncClient) -> None:
        document = (await api.get("/api/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        OpenAPI.model_validate(document)
        page = await api.get("/api/docs")
        assert "text/html" in page.headers["content-type"]
        for linked in re.findall(r'(?:src|href)="([^"]+)"', page.text):
            assert (await api.get(linked)).status_code == HTTPStatus.OK

    async def test_the_page_shows_code_as_code(self, api: httpx.AsyncClient) -> None:
        script = (await api.get("/api/docs/docs.js")).text
        # Whatever is a paragraph or a cell goes through `prose`.
        assert not re.search(r'element\("(?:p|td)", (?!prose\(|element\()', script)
        for name, text in texts_of((await api.get("/api/openapi.json")).json()):
            assert text.count("`") % 2 == 0, text
            assert "`" not in text or name == "description", text

    async def test_the_page_asks_for_sources_first(self, api: httpx.AsyncClient) -> None:
        script = (await api.get("/api/docs/docs.js")).text
        assert re.findall(r"\{api\}/(\w+)", script) == ["sources", "search", "chapters", "download"]

    async def test_who_names_no_source_is_told_where_they_are_listed(self, api: httpx.AsyncClient) -> None:
        answer = await api.post("/api/download", json={"ids": ["1"], "source": "nowhere"})
        assert answer.json()["message"] == "There is no source “nowhere”. /api/sources lists them."
