"""A Redis of the operator's own: over TLS with a user and password, and one that Sentinels watch."""

import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from celery import Celery
from kombu.exceptions import OperationalError
from pydantic import SecretStr
from redis.exceptions import RedisError

from bot.settings import BotSettings
from tasks import redis_address
from tasks.redis_address import RedisAddress
from tasks.resources import open_redis
from tests.conftest import StartWorker, beside, running_bot
from tests.end_to_end.shelf import Shelf
from tests.person import Person
from tests.redis_servers import (
    ADMIN_PASSWORD,
    USER,
    USER_PASSWORD,
    Server,
    free_port,
    node,
    sentinel,
    tls_before,
    wait_for,
)

SAFE = "min-replicas-to-write 1"
LOGIN = f"{USER}:{quote(USER_PASSWORD, safe='')}"


def installed(settings: BotSettings, shelf: Shelf, address: str) -> tuple[BotSettings, dict[str, str]]:
    """The bot's settings and the worker's with that Redis, and the shelf as their source."""
    environment = {"MANGAPI_URL": shelf.server.url, "CONSUMET_PROVIDERS": "mangapill", "CELERY_BROKER_URL": address}
    update = {
        "mangapi_url": shelf.server.url,
        "consumet_providers": ("mangapill",),
        "celery_broker_url": SecretStr(address),
    }
    return settings.model_copy(update=update), environment


def passwords() -> list[str]:
    return [form for one in (USER_PASSWORD, ADMIN_PASSWORD) for form in (one, quote(one, safe=""))]


def secrets_told(folder: Path) -> list[str]:
    return [log.name for log in folder.glob("worker-*.log") if any(one in log.read_text() for one in passwords())]


async def test_a_job_is_done_over_tls_by_a_user_with_few_rights(
    mina: Person, bot_settings: BotSettings, shelf: Shelf, start_worker: StartWorker, tmp_path: Path
) -> None:
    with node(tmp_path / "redis") as redis:
        async with tls_before(redis.port, tmp_path) as port:
            mine = (
                f"ssl_ca_certs={tmp_path}/ca.pem&ssl_certfile={tmp_path}/client.pem&ssl_keyfile={tmp_path}/client.pem"
            )
            settings, environment = installed(bot_settings, shelf, f"rediss://{LOGIN}@localhost:{port}/0?{mine}")
            async with beside(start_worker("secure", **environment)), running_bot(settings):
                await mina.sends(shelf.command(1, 2))
                await mina.receives_document()
                await mina.sees("Done")
        with redis.admin() as admin:
            assert admin.acl_log() == []
    assert secrets_told(bot_settings.data_path) == []


async def test_a_server_that_only_onlookers_ask_holds_up_no_job(
    mina: Person, bot_settings: BotSettings, shelf: Shelf, start_worker: StartWorker, tmp_path: Path
) -> None:
    with node(tmp_path / "redis") as redis:
        settings, environment = installed(bot_settings, shelf, f"redis://{LOGIN}@127.0.0.1:{redis.port}/0")
        gone = f"redis://127.0.0.1:{free_port()}/0"
        async with beside(start_worker("alone", **environment, CELERY_RESULT_BACKEND=gone)), running_bot(settings):
            for chapter in (1, 2):  # the worker has two processes, and each file is cleaned up as well
                sent = await mina.sends(shelf.command(chapter))
                await mina.sees("Done", after=sent)


@pytest.mark.parametrize(("host", "authority"), [("localhost", "another"), ("127.0.0.1", "ca")])
async def test_a_server_that_can_not_prove_who_it_is_gets_no_password(
    tmp_path: Path, host: str, authority: str
) -> None:
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    async with tls_before(free_port(), tmp_path) as port:
        address = f"rediss://{LOGIN}@{host}:{port}/0?ssl_ca_certs={tmp_path}/{authority}.pem"
        with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            async with open_redis(address, retries=0) as redis:
                await redis.ping()
        await asyncio.to_thread(celery_refuses, redis_address.parse(address))


def celery_refuses(address: RedisAddress) -> None:
    with Celery("careful", set_as_current=False) as celery:
        celery.backend_cls = address.celery_url
        celery.conf.update(address.as_broker(), **address.as_result_backend())
        with pytest.raises(OperationalError, match="CERTIFICATE_VERIFY_FAILED"):
            celery.connection_for_write().ensure_connection(max_retries=1, interval_start=0)
        backend: Any = celery.backend
        with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
            backend.client.ping()


async def test_jobs_outlive_the_masters_they_were_taken_from(
    mina: Person, bot_settings: BotSettings, shelf: Shelf, start_worker: StartWorker, tmp_path: Path
) -> None:
    # A write counts once both have it, so none gets lost, and a master left alone takes none.
    with (
        node(tmp_path / "one") as first,
        node(tmp_path / "two", f"replicaof 127.0.0.1 {first.port}", SAFE) as second,
        sentinel(tmp_path / "watch", first, "ours") as watching,
    ):
        await asyncio.to_thread(is_replica, second, watching)
        with first.admin() as admin:
            admin.config_set(*SAFE.split())
        address = (
            f"sentinel://{LOGIN}@127.0.0.1:{free_port()}/0;sentinel://127.0.0.1:{watching.port}"
            f"?master_name=ours&sentinel_password={quote(ADMIN_PASSWORD)}"
        )
        settings, environment = installed(bot_settings, shelf, address)
        let_go = shelf.holds_back(2, 1), shelf.holds_back(3, 2)
        with ExitStack() as later, start_worker("watched", **environment) as worker, watching.admin() as admin:
            async with running_bot(settings):
                sent = await mina.sends(shelf.command(1, 2))
                status = await mina.sees("pages 3/4", after=sent)
                await asyncio.to_thread(onlooker_is_answered, settings)
                first.running.kill()
                let_go[0].set()
                await asyncio.to_thread(wait_for, lambda: role(second) == "master", "the second is master")
                # The Sentinel would say so as well, but takes its time.
                with (tmp_path / "one" / "redis.conf").open("a") as config:
                    config.write(f"replicaof 127.0.0.1 {second.port}\n")
                first_again = later.enter_context(node(tmp_path / "one", port=first.port))
                assert "4 pages" in (await mina.receives_document())["caption"]
                assert (await mina.sees("Done", after=sent))["message_id"] == status["message_id"]

                sent = await mina.sends(shelf.command(3))
                await mina.sees("pages 1/2", after=sent)
                await asyncio.to_thread(is_replica, first_again, watching)
                # The other one lives on, as a replica of this one.
                admin.sentinel_failover("ours")
                let_go[1].set()
                await mina.receives_document("- 3.zip")
                await mina.sees("Done", after=sent)
                await asyncio.to_thread(wait_for, lambda: role(second) == "slave", "the first is master again")
                sent = await mina.sends(shelf.command(1))
                await mina.receives_document("- 1.zip")
                await mina.sees("Done", after=sent)
            assert worker.poll() is None
    assert len([m for m in await mina.messages() if "document" in m]) == 3
    assert secrets_told(bot_settings.data_path) == []


def onlooker_is_answered(settings: BotSettings) -> None:
    """The worker tells what Flower asks it for, and no password."""
    with Celery("onlooker", set_as_current=False) as onlooker:
        onlooker.conf.update(settings.broker.as_broker())
        inspect = onlooker.control.inspect(timeout=10.0, limit=1)
        told = {"stats": inspect.stats(), "conf": inspect.conf()}
    assert all(told.values()), told
    assert [one for one in passwords() if one in str(told)] == []


def role(server: Server) -> str:
    with server.admin() as admin:
        return str(admin.role()[0])


def is_replica(server: Server, watching: Server) -> None:
    """Return when the server has all that the master has, and the Sentinel knows that."""
    with server.admin() as admin, watching.admin() as sentinel:
        wait_for(lambda: admin.info("replication").get("master_link_status") == "up", "the replica has it all")
        wait_for(
            lambda: [one["master-link-status"] for one in sentinel.sentinel_slaves("ours")] == ["ok"], "it is known"
        )
