"""The dashboard and the alerts ask for figures that there are."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

MONITORING = Path(__file__).parent.parent.parent / "deploy" / "monitoring"
DASHBOARDS = MONITORING / "grafana" / "dashboards"
DASHBOARD: dict[str, Any] = json.loads((DASHBOARDS / "manhwa.json").read_text())
ALERTS: list[dict[str, Any]] = YAML(typ="safe").load(MONITORING / "alerts.yml")["groups"][0]["rules"]

GAUGES = {
    "manhwa_jobs": {"state", "source"},
    "manhwa_queue_length": {"queue"},
    "manhwa_workers": {"queue"},
    "manhwa_disk_free_bytes": set[str](),
    "manhwa_source_up": {"source"},
    "manhwa_followed_titles": {"source"},
    "manhwa_healthy": set[str](),
    "manhwa_redis_up": set[str](),
}
COUNTERS = {
    "manhwa_jobs_ended_total": {"source", "end", "code"},
    "manhwa_pages_total": {"source"},
    "manhwa_page_bytes_total": {"source"},
    "manhwa_pages_missing_total": {"source"},
    "manhwa_recoveries_total": {"kind"},
    "manhwa_looks_total": {"source", "result"},
    "manhwa_telegram_calls_total": {"method", "result"},
}
HISTOGRAMS = {
    "manhwa_job_seconds": {"source"},
    "manhwa_queue_wait_seconds": {"source"},
    "manhwa_telegram_seconds": {"method"},
    "manhwa_http_seconds": {"route", "status"},
}
SERIES: dict[str, set[str]] = (
    GAUGES
    | COUNTERS
    | {f"{name}_bucket": labels | {"le"} for name, labels in HISTOGRAMS.items()}
    | {f"{name}_{part}": labels for name, labels in HISTOGRAMS.items() for part in ("sum", "count")}
)
ASKED = re.compile(r"(manhwa_\w+)(?:\{([^}]*)\})?")


def queries() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    yield from (alert["expr"] for alert in ALERTS)


def test_every_figure_and_label_that_is_asked_for_is_there() -> None:
    unknown = [
        query
        for query in queries()
        for name, labels in ASKED.findall(query)
        if name not in SERIES or not set(re.findall(r"(\w+)\s*[=!]", labels)) <= SERIES[name]
    ]
    assert unknown == []


def test_every_figure_is_shown() -> None:
    shown = {name for query in queries() for name, _ in ASKED.findall(query)}
    counted = {name for name in SERIES if not name.endswith(("_sum", "_count"))}
    assert counted <= shown


def test_what_only_grows_is_read_as_a_rate() -> None:
    growing = "|".join(name for name in SERIES if name.endswith(("_total", "_bucket", "_sum", "_count")))
    bare = re.compile(rf"(?<!rate\()(?<!increase\()\b(?:{growing})\b")
    assert [query for query in queries() if bare.search(query)] == []


def test_what_every_bot_tells_alike_is_not_added_up() -> None:
    own = ("manhwa_telegram_", "manhwa_http_")
    of_all = [query for query in queries() if ASKED.search(query) and not any(name in query for name in own)]
    assert [query for query in of_all if not re.search(r"\b(max|min)(?: by [^)]*\))? ?\(", query)] == []


def test_an_alert_says_what_it_means() -> None:
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)
    for alert in ALERTS:
        assert alert["labels"]["severity"] in {"warning", "critical"}
        assert {"summary", "description"} == alert["annotations"].keys()


def test_panels_have_places_of_their_own_and_a_source() -> None:
    uid = YAML(typ="safe").load(MONITORING / "grafana" / "datasources" / "prometheus.yml")["datasources"][0]["uid"]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        spots = {(place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])}
        assert not spots & taken
        assert all(x < 24 for x, _ in spots)
        taken |= spots
        assert all(target["datasource"]["uid"] == uid for target in panel.get("targets", ()))
