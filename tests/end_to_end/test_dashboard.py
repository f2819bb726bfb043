"""The bot tells every figure that the dashboard and the alerts ask for, under the same labels."""

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.deploy.test_monitoring import COUNTERS, GAUGES, HISTOGRAMS, SERIES
from tests.person import Person


@pytest.mark.usefixtures("worker")
async def test_the_figures_are_those_that_are_asked_for(api: httpx.AsyncClient, mina: Person) -> None:
    await mina.sends("/download demo lantern-1")
    await mina.receives_document()
    text = (await api.get("/metrics")).text
    ours = [
        family
        for family in text_string_to_metric_families(text)
        if family.name.startswith("manhwa_") and not family.name.endswith("_created")
    ]
    kinds = {
        "gauge": GAUGES.keys(),
        "counter": {name.removesuffix("_total") for name in COUNTERS},
        "histogram": HISTOGRAMS.keys(),
    }
    for kind, names in kinds.items():
        assert {family.name for family in ours if family.type == kind} == names
    told = [sample for family in ours for sample in family.samples]
    assert [sample for sample in told if sample.labels.keys() != SERIES[sample.name]] == []
