"""The model page: every number from metrics.json, whatever is missing, and only its figures."""

import copy
import json
import re
from html.parser import HTMLParser

import pytest
from conftest import client_of

from brain_cnn.inference.bundle import SHIPPED_BUNDLE
from brain_cnn.labels import DISCLAIMER
from brain_cnn.published import PUBLISHED
from brain_cnn.web.presenters import measured
from brain_cnn.web.views.model_page import FIGURES, SECTIONS

METRICS = json.loads((SHIPPED_BUNDLE / "metrics.json").read_text(encoding="utf-8"))
INFO = json.loads((SHIPPED_BUNDLE / "bundle.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def client(classifier):
    return client_of(classifier)


@pytest.fixture
def page_with(client, monkeypatch):
    """Return the page's HTML for a record that is given."""

    def make(record):
        monkeypatch.setitem(client.application.extensions, measured.EXTENSION, record)
        response = client.get("/model")
        assert response.status_code == 200
        return response.text

    return make


def visible(html):
    """Return the words of a page without its tags."""
    return re.sub(r"<[^>]+>", " ", html)


class Tables(HTMLParser):
    """Collects the text of cells, and what tables lack."""

    def __init__(self, html):
        super().__init__()
        self.cells, self.headings, self.captions, self.tables, self.scopeless = [], [], 0, 0, 0
        self._in_cell = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tables += tag == "table"
        self.captions += tag == "caption"
        self.scopeless += tag == "th" and "scope" not in dict(attrs)
        if tag in ("h1", "h2", "h3"):
            self.headings.append(tag)
        if tag == "td":
            self._in_cell = True
            self.cells.append("")

    def handle_endtag(self, tag):
        if tag == "td":
            self._in_cell = False

    def handle_data(self, data):
        if self._in_cell:
            self.cells[-1] += data


def numbers_in(record):
    """Yield every number of a nested record."""
    if isinstance(record, dict):
        for value in record.values():
            yield from numbers_in(value)
    elif isinstance(record, list):
        for value in record:
            yield from numbers_in(value)
    elif isinstance(record, (int, float)) and not isinstance(record, bool):
        yield record


def spellings(value):
    return {f"{value:.3f}", f"{value:.2f}", f"{value:.1f}", f"{value * 100:.1f}", str(value)}


def test_every_number_in_a_table_is_measured(client):
    known = set()
    for value in (*numbers_in(METRICS), *numbers_in(INFO["data"]["split_counts"])):
        known |= spellings(value)
    for counts in INFO["data"]["split_counts"].values():
        known.add(str(sum(counts.values())))
    known |= {n for work in PUBLISHED for n in re.findall(r"\d+\.\d+", f"{work}")}
    tables = Tables(client.get("/model").text)
    # A minus that stands before a number, not one between two.
    found = [n for cell in tables.cells for n in re.findall(r"(?<![\d.])-?\d[\d.]*", cell)]
    assert len(found) > 200
    assert not [number for number in found if number not in known]


def test_test_of_the_numbers_can_fail():
    assert "93.7" not in spellings(0.932075)


def test_four_numbers_stand_side_by_side_with_their_intervals(client):
    html = client.get("/model").text
    for record in (
        METRICS["official"]["ours"]["accuracy"],
        METRICS["official"]["baseline"]["accuracy"],
        METRICS["protocol"]["ours"]["accuracy"],
        METRICS["protocol"]["baseline"]["accuracy"],
        METRICS["external"]["ours"]["weightings"]["t2"]["balanced_accuracy"],
        METRICS["corrupted"]["ours"]["mean"],
    ):
        value = f"{record['value'] * 100:.1f} %"
        interval = f"{record['low'] * 100:.1f}–{record['high'] * 100:.1f} %"
        assert re.search(rf"{re.escape(value)}\s*<small>{re.escape(interval)}</small>", html)
    assert "leaky" in html and METRICS["official"]["sentence"].replace("'", "&#39;") in html
    assert all(work.work in html for work in PUBLISHED)


def test_tables_have_captions_and_scopes_and_headings_their_order(client):
    tables = Tables(client.get("/model").text)
    assert tables.tables == tables.captions >= 12 and tables.scopeless == 0
    assert tables.headings[0] == "h1" and tables.headings.count("h1") == 1


def test_page_says_what_the_model_is_not(client):
    html = client.get("/model").text
    assert DISCLAIMER in html and "Not for" in html and "never means healthy" in html
    for name in ("figshare", "CC BY 4.0", "Br35H", "SARTAJ"):
        assert name in html


@pytest.mark.parametrize("record", [{}, {"protocol": None}, {"sureness": {"ours": {}}}])
def test_page_without_measurements_says_so(page_with, record):
    html = page_with(record)
    assert "Not measured for this model" in html
    assert all(title in html for title, _ in SECTIONS)


PARTS = [
    *METRICS,
    "protocol.ours",
    "protocol.baseline",
    "protocol.ours.confusion",
    "protocol.ours.accuracy.low",
    "official.reference",
    "external.ours",
    "external.ours.weightings",
    "external.ours.other_lesion",
    "faithfulness.ours.tumour_removed",
    "sureness.ours.coverage",
    "sureness.ours.verdicts",
]


@pytest.mark.parametrize("name", PARTS)
def test_any_missing_part_is_left_out(page_with, name):
    record = copy.deepcopy(METRICS)
    *path, last = name.split(".")
    inner = record
    for step in path:
        inner = inner[step]
    del inner[last]
    html = page_with(record)
    assert "<h1" in html
    assert not re.search(r"\b(None|nan|Undefined)\b", visible(html)) and "()" not in visible(html)


def test_metrics_that_are_no_json_do_not_stop_the_page(classifier, tmp_path):
    import dataclasses

    (tmp_path / "metrics.json").write_text("{ no", encoding="utf-8")
    bundle = dataclasses.replace(classifier.bundle, path=tmp_path)
    assert measured._read(bundle) == {}
    (tmp_path / "metrics.json").write_text("[1]", encoding="utf-8")
    assert measured._read(bundle) == {}


def test_figures_are_served_from_a_fixed_list(client):
    html = client.get("/model").text
    shown = re.findall(r'<img src="([^"]+)"', html)
    assert len(shown) >= 6 and all(re.fullmatch(r"/model/figures/\w+\.svg", s) for s in shown)
    assert len(re.findall(r'<img [^>]*alt="[^"]{10,}"', html)) == len(shown)
    for address in shown:
        response = client.get(address)
        assert response.content_type.startswith("image/svg+xml") and b"<svg" in response.data
        policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy and "script" not in policy
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert b"<script" not in response.data and b'href="http' not in response.data


@pytest.mark.parametrize(
    "name", ["nothing", "official_baseline_roc", "..%2f..%2fbundle", "../bundle", "%2e%2e/x"]
)
def test_nothing_else_of_the_folder_is_served(client, name):
    assert client.get(f"/model/figures/{name}.svg").status_code == 404
    assert client.get(f"/model/figures/{name}").status_code == 404


def test_figure_that_does_not_come_with_the_model_is_left_out(classifier, tmp_path):
    import dataclasses

    from brain_cnn.inference.classifier import Classifier

    bundle = dataclasses.replace(classifier.bundle, path=tmp_path)
    client = client_of(Classifier(bundle, classifier.engine))
    assert "<img" not in client.get("/model").text
    assert client.get(f"/model/figures/{next(iter(FIGURES))}.svg").status_code == 404
