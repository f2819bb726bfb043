"""How a worker meets Redis: it outlives what takes Celery's own with it, and waits for less long."""

import logging
from json import JSONDecodeError
from typing import Any

from celery.worker import consumer
from celery.worker.state import maybe_shutdown
from kombu import Connection as BrokerConnection
from kombu.transport.redis import Channel, SentinelTransport, Transport
from redis.connection import AbstractConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError

from tasks.redis_address import NO_REPLICAS

log = logging.getLogger(__name__)


class _Connection(AbstractConnection):
    """One to a server that takes no writes, as its replicas are away, counts as lost: a worker waits for it, and lives."""

    def read_response(self, *args: Any, **kwargs: Any) -> Any:
        try:
            return super().read_response(*args, **kwargs)
        except ResponseError as error:
            if str(error).startswith(NO_REPLICAS):
                self.disconnect()  # type: ignore[no-untyped-call]
                raise RedisConnectionError(str(error)) from error
            raise


class _Channel(Channel):
    """Says what is wrong where kombu's own takes the worker with it: when it was cut off (celery/kombu#582), and when what
    stands in the queue is no message."""

    def _connparams(self, *args: Any, **kwargs: Any) -> Any:
        if self.connection is None or self.connection.client is None:
            raise ConnectionError("this channel's connection was lost")
        parameters = super()._connparams(*args, **kwargs)  # type: ignore[misc]  # the stubs leave it out
        theirs = parameters["connection_class"]
        return {**parameters, "connection_class": type("Connection", (_Connection, theirs), {})}

    def _brpop_read(self, **options: Any) -> Any:
        try:
            return super()._brpop_read(**options)  # type: ignore[misc]  # the stubs leave it out
        except JSONDecodeError:
            log.error("what stood in the queue is no message; it is thrown away")  # noqa: TRY400
            return None


for transport in (Transport, SentinelTransport):
    # For good: a connection that goes on to the next Sentinel has a transport anew.
    transport.Channel = type("Channel", (_Channel, transport.Channel), {})


class Consumer(consumer.Consumer):
    """Celery's own waits for up to half a minute before it looks whether Redis is back; this one looks every second."""

    class Blueprint(consumer.Consumer.Blueprint):  # type: ignore[valid-type,misc]  # a variable in the stubs
        """Tells onlookers (`celery inspect stats`, Flower) nothing of the Sentinels' password, which is among the options."""

        def info(self, parent: Any) -> dict[str, Any]:
            told: dict[str, Any] = super().info(parent)
            if isinstance(told.get("broker"), dict):  # of a lost connection it is a text
                del told["broker"]["transport_options"]
            return told

    def ensure_connected(self, conn: BrokerConnection) -> BrokerConnection:
        connected = conn.ensure_connection(
            _not_connected, interval_start=1, interval_step=0, interval_max=1, callback=maybe_shutdown
        )
        self.first_connection_attempt = False
        return connected


def _not_connected(error: Exception, seconds: float) -> None:
    log.warning("Redis is not reached (%s), next try in %.1f s", type(error).__name__, seconds)
