"""An address of Redis as the operator writes it, and what Celery and redis-py have to be told about it. Pure.

    redis://user:password@host:6379/0
    rediss://host:6379/0?ssl_ca_certs=/etc/ssl/redis.pem         TLS; certificates are checked unless it says otherwise
    redis+socket://user:password@/run/redis.sock?virtual_host=0
    sentinel://user:password@host1:26379/0;sentinel://host2:26379?master_name=mymaster

Both libraries read addresses, but no spelling of TLS or Sentinel is right for both, and Celery takes some of it from
settings of its own only. User, password and number of a `sentinel://` address are those of the master; they and the options
may stand in any of its parts and hold for all.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from redis.backoff import NoBackoff
from redis.retry import Retry

EXAMPLES = "redis://host:6379/0, rediss://host:6379/0, redis+socket:///path/redis.sock or sentinel://host:26379/0"
DEFAULT_MASTER = "mymaster"
PORTS = {"redis": 6379, "rediss": 6379, "sentinel": 26379}
TLS_FILES = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
TLS = ("ssl_cert_reqs", "ssl_check_hostname", *TLS_FILES)
SENTINEL = ("master_name", "sentinel_username", "sentinel_password")
OPTIONS = {
    "redis": (),
    "rediss": TLS,
    "redis+socket": ("virtual_host", "db"),
    "sentinel": (*SENTINEL, *TLS),
}
"""What may stand behind the question mark, by scheme."""
CHECKS = {"required", "optional", "none"}
"""What is asked of the server's certificate; Celery's `CERT_REQUIRED` and its like are understood as well."""
TRUTHS = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
NO_REPLICAS = "NOREPLICAS"
"""How a master begins what it says where it takes no writes, as too few replicas follow it (`min-replicas-to-write`)."""
SENTINEL_SECONDS = 2.0
"""A Sentinel that has not answered by then is passed over for the next one."""
SILENT_SECONDS = 10
"""A connection of Celery's that gives no sign for so long is looked after: one to a host that was cut off stays open."""


@dataclass(frozen=True)
class RedisAddress:
    """One address, taken apart; its texts are as they are, without any encoding."""

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    """The server, or the Sentinels."""
    path: str = ""
    """Of the socket, where there is no host."""
    database: int = 0
    credentials: Mapping[str, str] = field(default_factory=dict, repr=False)
    """`username` and `password` of the server, as far as given."""
    tls: Mapping[str, str | bool] = field(default_factory=dict)
    """redis-py's options for TLS, which Celery takes as well; empty = without TLS."""
    master: str = ""
    """The name under which the Sentinels know the master; empty = no Sentinels."""
    sentinel_credentials: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def celery_url(self) -> str:
        """As Celery writes it; may hold a password."""
        user, password = self.credentials.get("username", ""), self.credentials.get("password")
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password is not None else "")
        login += "@" if login else ""
        if self.path:
            return f"{self.scheme}://{login}{quote(self.path)}?virtual_host={self.database}"
        # Celery asks any of them with the login of the first.
        return ";".join(f"{self.scheme}://{login}{_host(name)}:{port}/{self.database}" for name, port in self.hosts)

    @property
    def sentinel_options(self) -> dict[str, Any]:
        """How either library is to speak to the Sentinels."""
        patience = {"socket_timeout": SENTINEL_SECONDS, "socket_connect_timeout": SENTINEL_SECONDS}
        tls = {"ssl": True, **self.tls} if self.tls else {}
        return {**patience, **self.sentinel_credentials, **tls}

    @property
    def _transport_options(self) -> dict[str, Any]:
        if not self.master:
            return {}
        # Without it redis-py tries a Sentinel that is gone ten times more.
        once = Retry(NoBackoff(), 0)
        return {"master_name": self.master, "sentinel_kwargs": {**self.sentinel_options, "retry": once}}

    def as_broker(self, **transport_options: Any) -> dict[str, Any]:
        """Celery's settings for a broker at this address."""
        return {
            # Not broker_url: before that one Celery takes the environment's CELERY_BROKER_URL, and as it stands there.
            "broker_read_url": self.celery_url,
            "broker_write_url": self.celery_url,
            "broker_use_ssl": dict(self.tls) or None,
            "broker_transport_options": {
                "socket_timeout": SILENT_SECONDS,
                "socket_connect_timeout": SILENT_SECONDS,
                "health_check_interval": SILENT_SECONDS,
                **self._transport_options,
                **transport_options,
            },
        }

    def as_result_backend(self) -> dict[str, Any]:
        """Celery's settings for a result backend at this address."""
        return {
            "redis_backend_use_ssl": dict(self.tls) or None,
            "redis_socket_timeout": SILENT_SECONDS,
            "redis_socket_connect_timeout": SILENT_SECONDS,
            "result_backend_transport_options": self._transport_options,
        }


def parse(text: str) -> RedisAddress:
    """Take an address apart. Raises `ValueError` with what is wrong, as the end of a sentence that tells no password."""
    parts = [_split(part) for part in text.split(";")]
    schemes = {part.scheme for part in parts}
    if len(schemes) > 1 or (len(parts) > 1 and schemes != {"sentinel"}):
        raise ValueError("has several servers, and only sentinel:// may")
    scheme = parts[0].scheme
    options = dict(_options(scheme, parts))
    login = next(((part.username, part.password) for part in parts if "@" in part.netloc), (None, None))
    common = RedisAddress(
        scheme,
        database=_database(scheme, parts, options),
        credentials=_credentials(*(one and unquote(one) for one in login)),
        tls=_tls(scheme, options),
    )
    if scheme == "redis+socket":
        return replace(common, path=unquote(parts[0].path))
    hosts = tuple((unquote(part.hostname or ""), part.port or PORTS[scheme]) for part in parts)
    if scheme != "sentinel":
        return replace(common, hosts=hosts)
    return replace(
        common,
        hosts=hosts,
        master=options.get("master_name") or DEFAULT_MASTER,
        sentinel_credentials=_credentials(options.get("sentinel_username"), options.get("sentinel_password")),
    )


def _split(text: str) -> SplitResult:
    try:
        part = urlsplit(text)
        usable = part.port != 0 and text.isprintable() and " " not in text and not part.fragment
    except ValueError:
        usable = False
    if not usable or not (part.hostname if part.scheme in PORTS else part.scheme in OPTIONS and part.path.strip("/")):
        raise ValueError(f"has to be an address such as {EXAMPLES}; encode special characters in a password")
    return part


def _options(scheme: str, parts: list[SplitResult]) -> Iterator[tuple[str, str]]:
    for part in parts:
        for name, value in parse_qsl(part.query, keep_blank_values=True):
            if name not in OPTIONS[scheme]:
                # Its name stays untold: it may be the rest of a password.
                raise ValueError(f"has an option that is none of: {', '.join(OPTIONS[scheme]) or '(there are none)'}")
            yield name, value


def _credentials(user: str | None, password: str | None) -> dict[str, str]:
    return {name: value for name, value in (("username", user), ("password", password)) if value}


def _tls(scheme: str, options: Mapping[str, str]) -> dict[str, str | bool]:
    given = {name: options[name] for name in TLS if options.get(name)}
    if scheme != "rediss" and not given:
        return {}
    checked = given.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if checked not in CHECKS:
        raise ValueError("has an ssl_cert_reqs that is none of required, optional and none")
    by_name = given.get("ssl_check_hostname", "true").lower()
    if by_name not in TRUTHS:
        raise ValueError("has an ssl_check_hostname that is neither true nor false")
    files = {name: given[name] for name in TLS_FILES if name in given}
    return {"ssl_cert_reqs": checked, "ssl_check_hostname": checked != "none" and TRUTHS[by_name], **files}


def _database(scheme: str, parts: list[SplitResult], options: Mapping[str, str]) -> int:
    in_query = options.get("virtual_host") or options.get("db") or ""
    given = in_query if scheme == "redis+socket" else next((p.path for p in parts if p.path.strip("/")), "")
    number = given.strip("/") or "0"
    if not (number.isascii() and number.isdigit()):
        raise ValueError("has to end with the number of a database, such as /0")
    return int(number)


def _host(name: str) -> str:
    return f"[{name}]" if ":" in name else name
