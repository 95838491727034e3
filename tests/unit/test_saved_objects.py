"""The saved objects fit one another, the events that they are about, and the products that take them."""

import json
from typing import Any

import pytest

from monitor.saved_objects.objects import saved_objects, to_ndjson
from monitor.store.templates import EVENTS, index_templates
from tests.support.saved_objects import FILE, SavedObject, aggregations, of_type, read_file

# The newest form of each type that OpenSearch Dashboards 2.19 knows, by its own migrations; Kibana 7.17 knows newer
# ones and brings these up to date. Either refuses what says that it is newer than itself.
NEWEST = {"index-pattern": (7, 6, 0), "search": (7, 9, 3), "visualization": (7, 10, 0), "dashboard": (7, 9, 3)}
NUMBERS = {"double", "long", "integer"}
FIELDS: dict[str, dict[str, Any]] = {
    name: template["template"]["mappings"]["properties"] for name, template in index_templates().items()
}
EVENT_FIELDS = FIELDS["polystream-events"]


def kind_of(field: str) -> str:
    """Return the type of an event's field in the mapping."""
    return str(EVENT_FIELDS[field]["type"])


def test_the_file_is_what_the_importer_sends() -> None:
    """Whoever imports by hand gets the same: `python -m monitor.saved_objects --print` makes the file anew."""
    assert FILE.read_text(encoding="utf-8") == to_ndjson(saved_objects())


def test_there_is_everything_that_people_look_for() -> None:
    """One index pattern, one search, five visualizations and the dashboard that holds them all."""
    types = [saved["type"] for saved in read_file()]
    assert sorted(types) == ["dashboard", "index-pattern", "search", *["visualization"] * 5]
    (dashboard,) = of_type("dashboard")
    held = {(reference["type"], reference["id"]) for reference in dashboard["references"]}
    assert held == {
        (saved["type"], saved["id"]) for saved in read_file() if saved["type"] in {"search", "visualization"}
    }


def test_references_lead_to_objects_before_them() -> None:
    """An import checks each object's references against the file and what is there already."""
    seen: set[tuple[str, str]] = set()
    for saved in read_file():
        assert {(reference["type"], reference["id"]) for reference in saved["references"]} <= seen
        seen.add((saved["type"], saved["id"]))
    assert len(seen) == len(read_file())


def test_panels_name_their_references_and_do_not_overlap() -> None:
    """Each panel of the dashboard has its place on the grid of 48 columns, and shows what its reference names."""
    (dashboard,) = of_type("dashboard")
    panels = json.loads(dashboard["attributes"]["panelsJSON"])
    assert {panel["panelRefName"] for panel in panels} == {reference["name"] for reference in dashboard["references"]}
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridData"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken
        assert all(x < 48 for x, _ in cells)
        taken |= cells


@pytest.mark.parametrize("saved", read_file(), ids=lambda saved: saved["id"])
def test_no_object_is_newer_than_either_product(saved: SavedObject) -> None:
    """The form is one that both know."""
    (version,) = saved["migrationVersion"].values()
    assert tuple(map(int, version.split("."))) <= NEWEST[saved["type"]]
    assert set(saved) == {"id", "type", "attributes", "references", "migrationVersion"}


def test_the_index_pattern_fits_the_daily_indices_and_knows_their_fields() -> None:
    """`api_*`, by the time of the events; each of their fields is there, of its own type."""
    (pattern,) = of_type("index-pattern")
    attributes = pattern["attributes"]
    assert attributes["title"] == "api_*"
    assert f"{EVENTS}-2026.01.31".startswith(attributes["title"].removesuffix("*"))
    assert kind_of(attributes["timeFieldName"]) == "date"
    known = {field["name"]: field for field in json.loads(attributes["fields"])}
    searched = {name for name in EVENT_FIELDS if kind_of(name) != "object"}
    assert {name: known[name]["esTypes"] for name in searched} == {name: [kind_of(name)] for name in searched}
    assert set(json.loads(attributes["fieldFormatMap"])) <= set(known)


def test_no_field_has_two_types_under_the_pattern() -> None:
    """A field of two types in the indices of one pattern can be neither counted nor sorted by."""
    types: dict[str, set[str]] = {}
    for fields in FIELDS.values():
        for name, field in fields.items():
            types.setdefault(name, set()).add(field["type"])
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}


@pytest.mark.parametrize("visualization", of_type("visualization"), ids=lambda saved: saved["id"])
def test_aggregations_ask_of_a_field_what_its_mapping_can_do(visualization: SavedObject) -> None:
    """Terms of whole words, percentiles of numbers, histograms of times; every field is one of an event's."""
    for part in aggregations(visualization):
        needed = {"terms": {"keyword"}, "percentiles": NUMBERS, "date_histogram": {"date"}, "count": None}[part["type"]]
        assert needed is None or kind_of(part["params"]["field"]) in needed


@pytest.mark.parametrize("saved", [*of_type("visualization"), *of_type("search")], ids=lambda saved: saved["id"])
def test_queries_are_about_fields_that_are_found_as_a_whole(saved: SavedObject) -> None:
    """Each names keywords of the events, and values in quotes."""
    text = json.loads(saved["attributes"]["kibanaSavedObjectMeta"]["searchSourceJSON"])["query"]["query"]
    if text:
        field = text.removeprefix("NOT ").partition(":")[0]
        assert kind_of(field) == "keyword"


def test_the_story_is_told_in_order() -> None:
    """The search lists a story's events by their time, with what each is about."""
    (search,) = of_type("search")
    assert search["attributes"]["sort"] == [["timestamp", "asc"]]
    assert search["attributes"]["columns"] == ["event_type", "service", "store", "status", "duration_ms", "error"]
    assert set(search["attributes"]["columns"]) <= set(EVENT_FIELDS)
