"""Addresses of Redis: what is in them, and that both libraries understand what comes of them."""

import ssl
from typing import Any

import pytest
from celery import Celery
from kombu import Connection
from redis import ConnectionPool

from tasks import redis_address
from tasks.redis_address import SILENT_SECONDS, RedisAddress

SPECIAL = "p@ss/w:rd;?#% ü"
WRITTEN = "p%40ss%2Fw%3Ard%3B%3F%23%25%20%C3%BC"
SENTINELS = f"master_name=ours&sentinel_username=watch&sentinel_password={WRITTEN}"
THREE = (("one", 26379), ("two", 26380), ("::1", 26379))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("redis://host", RedisAddress("redis", (("host", 6379),))),
        ("redis://[::1]:7000/3", RedisAddress("redis", (("::1", 7000),), database=3)),
        (
            f"redis://mina:{WRITTEN}@host/0",
            RedisAddress("redis", (("host", 6379),), credentials={"username": "mina", "password": SPECIAL}),
        ),
        ("redis+socket:///run/r.sock?virtual_host=3", RedisAddress("redis+socket", path="/run/r.sock", database=3)),
        ("redis+socket:///a%20b/r.sock", RedisAddress("redis+socket", path="/a b/r.sock")),
        (
            "sentinel://one;sentinel://two:26380;sentinel://[::1]/2",
            RedisAddress("sentinel", THREE, database=2, master="mymaster"),
        ),
        (
            f"sentinel://:{WRITTEN}@one/1;sentinel://two:26380/1;sentinel://[::1]/1?{SENTINELS}",
            RedisAddress(
                "sentinel",
                THREE,
                database=1,
                credentials={"password": SPECIAL},
                master="ours",
                sentinel_credentials={"username": "watch", "password": SPECIAL},
            ),
        ),
    ],
)
def test_an_address_is_taken_apart(text: str, address: RedisAddress) -> None:
    assert redis_address.parse(text) == address


@pytest.mark.parametrize(
    ("query", "tls"),
    [
        ("", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("?ssl_cert_reqs=CERT_REQUIRED", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("?ssl_cert_reqs=required", {"ssl_cert_reqs": "required", "ssl_check_hostname": True}),
        ("?ssl_cert_reqs=CERT_NONE", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ("?ssl_cert_reqs=None", {"ssl_cert_reqs": "none", "ssl_check_hostname": False}),
        ("?ssl_check_hostname=false", {"ssl_cert_reqs": "required", "ssl_check_hostname": False}),
    ],
)
def test_certificates_are_checked_unless_it_says_otherwise(query: str, tls: dict[str, object]) -> None:
    assert redis_address.parse(f"rediss://host/0{query}").tls == tls


def test_neither_password_is_shown_where_an_address_is() -> None:
    address = redis_address.parse("sentinel://:hunter2@host?sentinel_password=hunter3")
    assert "hunter" not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        f"redis://mina:{WRITTEN}@host:7000/3",
        f"rediss://:{WRITTEN}@host:7000/3",
        f"redis+socket://mina:{WRITTEN}@/a%20%25/r.sock?virtual_host=3",
        f"sentinel://mina:{WRITTEN}@one:26379/3;sentinel://two:26379;sentinel://three:26379",
    ],
)
def test_broker_and_backend_get_what_the_address_says(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # Celery would take these as they stand, and before anything it is told.
    for name in ("CELERY_BROKER_URL", "CELERY_RESULT_BACKEND"):
        monkeypatch.setenv(name, "redis://elsewhere:1/9")
    address = redis_address.parse(text)
    with Celery("here", set_as_current=False) as app:
        app.backend_cls = address.celery_url
        app.conf.update(address.as_broker(), **address.as_result_backend())
        for connection in (app.connection_for_read(), app.connection_for_write(), app.connection()):
            assert _meant(_pool_of(connection).connection_kwargs, text) == _meant({}, text)
            # Celery goes through the Sentinels, with what stands in the address of each.
            for url in connection.alt:
                connection.switch(url)
                assert _meant(_pool_of(connection).connection_kwargs, text) == _meant({}, text)
        backend: Any = app.backend
        assert _meant(backend.client.connection_pool.connection_kwargs, text) == _meant({}, text)


def _meant(kwargs: dict[str, Any], text: str) -> dict[str, Any]:
    """What is in there of what the address decides; `{}` = what should be."""
    address = redis_address.parse(text)
    wanted: dict[str, Any] = {"db": address.database, "username": None, **address.credentials, **address.tls}
    wanted["socket_timeout"] = SILENT_SECONDS  # none by default: a host that was cut off would be waited for for ever
    if address.path:
        wanted["path"] = address.path
    elif not address.master:
        wanted["host"], wanted["port"] = address.hosts[0]
    # Celery's backend has made a constant of it.
    found = {**kwargs, "ssl_cert_reqs": "required"} if kwargs.get("ssl_cert_reqs") == ssl.CERT_REQUIRED else kwargs
    return {name: found.get(name) for name in wanted} if kwargs else wanted


def _pool_of(connection: Connection) -> ConnectionPool:
    """The connections of a channel that was not opened, as opening it looks for the server."""
    transport: Any = connection.transport
    channel = object.__new__(transport.Channel)
    channel.connection = transport
    for name, value in (connection.transport_options or {}).items():
        setattr(channel, name, value)
    pool: ConnectionPool = channel._get_pool()
    return pool
