"""The web API, as programs use it: real HTTP to the bot's process, real workers."""

import asyncio
import io
import os
import re
import socket
import zipfile
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from celery import Celery
from celery.result import AsyncResult
from openapi_pydantic import OpenAPI
from pydantic import SecretStr

from bot.settings import BotSettings
from bot.web import reading
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
        assert problem(await api.get(path, headers={"Range": f"bytes={size}-"})) == (416, "no_such_range")
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

    async def test_delete_cancels(self, api: httpx.AsyncClient, settings: BotSettings) -> None:
        task_id = await asked(api, "lantern-1")
        answer = await api.delete(f"/api/download/{task_id}")
        assert (answer.status_code, answer.json()["state"]) == (200, "REVOKED")
        assert (await ended(api, task_id))["state"] == "REVOKED"
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
        assert (await guarded.get("/api/openapi.json")).status_code == HTTPStatus.OK

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
        ):
            with subtests.test(headers=headers):
                assert problem(await api.get("/api/sources", headers=headers)) == (401, "not_local")


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


class TestBadInput:
    async def test_each_body_gets_a_sentence(self, api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
        for body, content_type, expected in BODIES:
            with subtests.test(body=body[:60], content_type=content_type):
                answer = await api.post("/api/download", content=body, headers={"Content-Type": content_type})
                assert problem(answer) == expected

    async def test_no_path_or_query_leads_astray(self, api: httpx.AsyncClient, subtests: pytest.Subtests) -> None:
        for method, path, expected in PATHS:
            with subtests.test(method=method, path=path[:60]):
                assert problem(await api.request(method, path)) == expected

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
