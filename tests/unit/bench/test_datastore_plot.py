import json
import pathlib
import xml.etree.ElementTree

from tests.bench import datastore_plot

DOCS = pathlib.Path(__file__).parents[3] / "docs"


def test_the_plot_in_the_docs_shows_the_figures_beside_it() -> None:
    data = json.loads((DOCS / "datastore.json").read_text())
    assert (DOCS / "datastore.svg").read_text() == datastore_plot.svg(data)


def test_growth_is_a_line_and_maintenance_is_points() -> None:
    def sample(cycles: int, size: int, after: str = "") -> dict[str, object]:
        return {"cycles": cycles, "file": size * 2**20, "used": size * 2**20, "after": after}

    kept = [sample(0, 1), sample(100, 30), sample(100, 5, after="defragmentation")]
    drawn = xml.etree.ElementTree.fromstring(datastore_plot.svg({"kept": kept, "compacted": kept[:2]}))  # noqa: S314 - our own
    found = [element.tag.rpartition("}")[2] for element in drawn]
    assert (found.count("polyline"), found.count("circle")) == (3, 1)
    (first, *_) = [element for element in drawn if element.tag.endswith("polyline")]
    assert len(first.attrib["points"].split()) == 2
