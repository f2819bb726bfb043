"""A Redis of the operator's own: over TLS with a user and password, and one that Sentinels watch."""

from pathlib import Path
from urllib.parse import quote

from pydantic import SecretStr

from bot.settings import BotSettings
from tests.conftest import StartWorker, beside, running_bot
from tests.end_to_end.shelf import Shelf
from tests.person import Person
from tests.redis_servers import ADMIN_PASSWORD, USER, USER_PASSWORD, free_port, node, sentinel, tls_before, wait_for

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


def secrets_told(folder: Path) -> list[str]:
    secrets = (USER_PASSWORD, quote(USER_PASSWORD, safe=""), ADMIN_PASSWORD, quote(ADMIN_PASSWORD, safe=""))
    return [log.name for log in folder.glob("worker-*.log") if any(one in log.read_text() for one in secrets)]


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


async def test_a_job_outlives_the_master_it_was_taken_from(
    mina: Person,
    bot_settings: BotSettings,
    shelf: Shelf,
    start_worker: StartWorker,
    tmp_path: Path,
) -> None:
    with (
        node(tmp_path / "one") as master,
        node(tmp_path / "two", f"replicaof 127.0.0.1 {master.port}") as replica,
        sentinel(tmp_path / "watch", master, "ours") as watching,
    ):
        with watching.admin() as admin:
            wait_for(lambda: admin.sentinel_master("ours")["num-slaves"] == 1, "the Sentinel knows the replica")
        with replica.admin() as admin:
            wait_for(lambda: admin.info("replication")["master_link_status"] == "up", "the replica has it all")
        address = (
            f"sentinel://{LOGIN}@127.0.0.1:{free_port()}/0;sentinel://127.0.0.1:{watching.port}"
            f"?master_name=ours&sentinel_password={quote(ADMIN_PASSWORD)}"
        )
        settings, environment = installed(bot_settings, shelf, address)
        let_go = shelf.holds_back(2, 1)
        with start_worker("watched", **environment):
            async with running_bot(settings):
                sent = await mina.sends(shelf.command(1, 2, 3))
                status = await mina.sees("pages 5/6", after=sent)
                master.running.kill()
                let_go.set()
                file = await mina.receives_document()
                assert "6 pages" in file["caption"]
                done = await mina.sees("Done", after=sent)
                assert done["message_id"] == status["message_id"]
                sent = await mina.sends(shelf.command(3))
                await mina.receives_document("- 3.zip")
                await mina.sees("Done", after=sent)
        assert len([m for m in await mina.messages() if "document" in m]) == 2
        with replica.admin() as admin:
            assert admin.role()[0] == "master"
            assert admin.acl_log() == []
    assert secrets_told(bot_settings.data_path) == []
