"""How Flower runs, as its configuration file: `celery -A tasks flower --conf=tasks/flowerconfig.py`.

Behind a password, and only to look. Its picture comes from Celery's events, which it switches on itself; what they don't
know, progress above all, is read where `AsyncResult` reads it. Flower takes what stands here under the names of its options.
"""

import secrets
import sys
from typing import Any

from flower.urls import handlers
from kombu import Connection
from redis.exceptions import RedisError

from tasks.celery import app
from tasks.settings import FlowerSettings, SettingsError, load, refused

try:
    _settings = load(FlowerSettings)
except SettingsError as error:
    raise refused(error) from None

address = _settings.flower_address
port = _settings.flower_port
basic_auth = [_settings.flower_basic_auth.get_secret_value() or f"admin:{secrets.token_urlsafe(12)}"]
read_only = True
tasks_columns = "name,uuid,state,result,received,runtime,worker"

if not _settings.flower_basic_auth.get_secret_value():
    _name, _, _password = basic_auth[0].partition(":")
    sys.stderr.write(f"Flower is at http://{address}:{port}: user {_name}, password {_password}, until it ends\n")

# The one page that asks for no password, and tells of workers and tasks; the bot has metrics of its own.
handlers[:] = [handler for handler in handlers if not (isinstance(handler, tuple) and handler[0] == "/metrics")]
# A page is not worth waiting for a Redis that is away.
app.conf.result_backend_always_retry = False


class _Impatient(Connection):
    """Gives a Redis that is away a second try, not any number: Flower could not end as long as one of its threads tries."""

    def ensure(self, *arguments: Any, **options: Any) -> Any:
        return super().ensure(*arguments, **{"max_retries": 1, **options})


app.amqp.Connection = _Impatient


def format_task(task: Any) -> Any:
    """Flower's picture of a task, with the state and the result that Celery has on record."""
    try:
        known = app.backend.get_task_meta(task.uuid, cache=False)
    except (RedisError, OSError):
        return task
    if known["status"] != "PENDING":  # which is said of unknown tasks as well
        task.state, task.result = known["status"], _in_words(known["result"])
    return task


def _in_words(result: object) -> str:
    return ", ".join(f"{name} {value}" for name, value in result.items()) if isinstance(result, dict) else repr(result)
