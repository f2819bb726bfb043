"""Finished files, in the jobs' folders and in a bucket of a real S3 server."""

import secrets
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer
from pydantic import SecretStr

from tasks import bucket
from tasks import storage as storage_module
from tasks.errors import FileGone, StorageDown
from tasks.jobs.job import ArchiveFile, Result
from tasks.settings import TaskSettings
from tasks.storage import Storage, open_storage
from tasks.workspace import JobFolder, Workspace
from tests.s3_server import SECRET, S3Server

JOB = "0123456789abcdef"
BODY = secrets.token_bytes(2_500)


@pytest.fixture
def prefix() -> str:
    return f"some/{secrets.token_hex(4)}"


@pytest.fixture
def in_folders(tmp_path: Path) -> TaskSettings:
    return TaskSettings(_env_file=None, data_dir=tmp_path)


@pytest.fixture
def in_bucket(in_folders: TaskSettings, s3: S3Server, prefix: str, monkeypatch: pytest.MonkeyPatch) -> TaskSettings:
    monkeypatch.setattr(bucket, "PIECE", 1000)
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 0.5)
    return s3.used_by(in_folders, prefix)


@pytest.fixture(params=["in_folders", "in_bucket"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Storage:
    for module in (storage_module, bucket):
        monkeypatch.setattr(module, "CHUNK", 300)
    return open_storage(request.getfixturevalue(request.param))


@pytest.fixture
def folder(in_folders: TaskSettings) -> JobFolder:
    return Workspace(in_folders).folder(JOB, 3)


def made(folder: JobFolder, body: bytes = BODY) -> Result:
    """What a worker has packed."""
    name = "Böse <Tage> – 1.zip"
    folder.file(name).write_bytes(body)
    return Result(files=(ArchiveFile(name=name, size=len(body), chapters=("1",), pages=1),))


async def stored(storage: Storage, folder: JobFolder, body: bytes = BODY) -> ArchiveFile:
    return (await storage.put(folder, made(folder, body))).files[0]


async def read(storage: Storage, file: ArchiveFile, start: int = 0, end: int | None = None) -> bytes:
    return b"".join([chunk async for chunk in storage.open(JOB, file, start, end)])


@pytest.mark.parametrize("size", [1, 999, 1000, 1001, 2000, 2500])
async def test_what_is_put_is_read(storage: Storage, folder: JobFolder, size: int) -> None:
    file = await stored(storage, folder, BODY[:size])
    await storage.check(JOB, file)
    assert await read(storage, file) == BODY[:size]


@pytest.mark.parametrize(
    ("start", "end"), [(0, 1), (0, 1000), (999, 1001), (1000, 2000), (300, None), (2499, 9999), (2500, None), (7, 7)]
)
async def test_any_range_is_read(storage: Storage, folder: JobFolder, start: int, end: int | None) -> None:
    file = await stored(storage, folder)
    chunks = [chunk async for chunk in storage.open(JOB, file, start, end)]
    assert b"".join(chunks) == BODY[start:end]
    assert all(0 < len(chunk) <= 300 for chunk in chunks)


async def test_a_file_is_removed_with_its_job(storage: Storage, folder: JobFolder) -> None:
    file = await stored(storage, folder)
    assert await storage.job_ids() == [JOB]
    await storage.remove(JOB)
    await storage.remove(JOB)
    assert await storage.job_ids() == []
    with pytest.raises(FileGone):
        await storage.check(JOB, file)
    with pytest.raises(FileGone):
        await read(storage, file)


async def test_only_what_is_on_this_machine_has_a_path(
    in_folders: TaskSettings, in_bucket: TaskSettings, folder: JobFolder
) -> None:
    own = await stored(open_storage(in_folders), folder)
    path = open_storage(in_folders).path(JOB, own)
    assert path
    assert path.read_bytes() == BODY
    assert open_storage(in_bucket).path(JOB, await stored(open_storage(in_bucket), folder)) is None


async def test_files_of_before_a_change_of_the_setting(
    in_folders: TaskSettings, in_bucket: TaskSettings, folder: JobFolder
) -> None:
    own, there = await stored(open_storage(in_folders), folder), await stored(open_storage(in_bucket), folder)
    assert await read(open_storage(in_bucket), own) == BODY
    with pytest.raises(FileGone):
        await open_storage(in_folders).check(JOB, there)


async def test_another_attempt_spoils_nothing(in_bucket: TaskSettings, folder: JobFolder, s3: S3Server) -> None:
    storage = open_storage(in_bucket)
    late = Workspace(in_bucket).folder(JOB, 2)
    file = await stored(storage, folder)
    await stored(storage, late, BODY[::-1])
    assert await read(storage, file) == BODY


async def test_a_worker_keeps_nothing_of_what_is_in_the_bucket(
    in_bucket: TaskSettings, folder: JobFolder, s3: S3Server, prefix: str
) -> None:
    storage = open_storage(in_bucket)
    await stored(storage, folder)
    storage.leave(folder)
    assert Workspace(in_bucket).job_ids() == []
    assert s3.objects(prefix) == [f"{JOB}/3-1/{piece:05}" for piece in range(3)]


async def test_half_of_a_file_is_none(storage: Storage, folder: JobFolder) -> None:
    file = await stored(storage, folder)
    longer = file.model_copy(update={"size": 3500})
    with pytest.raises(FileGone):
        await storage.check(JOB, longer)
    with pytest.raises(FileGone):
        await read(storage, longer)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"aws_secret_access_key": SecretStr("wrong-" + SECRET)}, "403 SignatureDoesNotMatch"),
        ({"aws_access_key_id": "nobody"}, "403 InvalidAccessKeyId"),
        ({"storage_url": "s3://no-such-bucket"}, "404 NoSuchBucket"),
        ({"aws_endpoint_url": "http://127.0.0.1:9"}, "connection refused"),
        ({"aws_endpoint_url": "http://no-such-host.invalid"}, "dns error"),
    ],
)
async def test_what_is_wrong_is_told_in_few_words(
    in_bucket: TaskSettings, folder: JobFolder, change: dict[str, object], told: str, caplog: pytest.LogCaptureFixture
) -> None:
    storage = open_storage(in_bucket.model_copy(update=change))
    with pytest.raises(StorageDown) as caught:
        await storage.put(folder, made(folder))
    assert str(caught.value) == told
    assert await storage.job_ids() == [JOB]  # on the disk
    assert told in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(("status", "code"), [(400, "RequestTimeout"), (409, "OperationAborted"), (503, "SlowDown")])
async def test_what_passes_is_waited_for_however_the_store_calls_it(
    in_bucket: TaskSettings, folder: JobFolder, status: int, code: str
) -> None:
    answers = [web.Response(status=status, text=f"<Error><Code>{code}</Code></Error>")]

    async def answer(request: web.BaseRequest) -> web.Response:
        await request.read()
        return answers.pop() if answers else web.Response(headers={"ETag": '"1"'})

    async with RawTestServer(answer) as store:
        there = in_bucket.model_copy(update={"aws_endpoint_url": str(store.make_url("/")).rstrip("/")})
        assert (await stored(open_storage(there), folder)).stored == "3-1"
    assert not answers


async def test_a_piece_is_tried_again_until_the_store_is_back(
    in_bucket: TaskSettings, folder: JobFolder, s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket, "PATIENCE_SECONDS", 30)
    refused = 0

    def come_back(error: Exception) -> bool:
        nonlocal refused
        refused += 1
        if refused == 2:
            s3.start()
        return may_pass(error)

    may_pass = bucket._may_pass  # noqa: SLF001 - knows when a try has failed
    monkeypatch.setattr(bucket, "_may_pass", come_back)
    storage = open_storage(in_bucket)
    s3.stop()
    file = await stored(storage, folder)
    assert refused >= 2
    assert await read(storage, file) == BODY
