"""Cards of the simulator and of the weights, from a record made by hand and from the committed ones."""

from __future__ import annotations

from dataclasses import asdict

from footpass_lib.book import cards, costs
from footpass_lib.files import read_object
from footpass_lib.study.place import DATA_SEED, WEIGHTS
from footpass_lib.study.profiles import get_profile


def test_every_part_has_a_column_a_source():
    shares = {"real": {"share": {"tackle": 0.003}}, "made": {"share": {"tackle": 0.016}}}
    grammar = {"real": {"drives tackled": 0.008, "entropy": 1.581}, "made": {"drives tackled": 0.045, "entropy": 1.94}}
    rhythm = {
        "real": {"50% of gaps": 37.0, "events in 30 s": 9.52},
        "made": {"50% of gaps": 38.4, "events in 30 s": 12},
    }
    events = {"real": 91327, "made": 2762}
    tables = cards.simulator_tables({"events": events, "classes": shares, "grammar": grammar, "rhythm": rhythm})
    assert tables["simulator: share"] == [
        ["", "real (91,327 events)", "made (2,762 events)"], ["---", "---:", "---:"], ["tackle", "0.3%", "1.6%"],
    ]  # fmt: skip
    assert tables["simulator: grammar"][2:] == [
        ["drives tackled", "0.8%", "4.5%"],
        ["entropy", "1.58 bits", "1.94 bits"],
    ]
    assert tables["simulator: rhythm"][2:] == [
        ["50% of gaps", "37 frames", "38 frames"],
        ["events in 30 s", "9.5", "12.0"],
    ]


def test_the_simulators_record_is_of_the_embedded_matches(project):
    record, sizes = costs.read_record(project / "reports", cards.SIMULATOR), get_profile("embedded").synthetic
    assert record["sizes"] == asdict(sizes) and record["seed"] == DATA_SEED
    assert record["minutes"] == sizes.train + sizes.val + sizes.test


def test_every_shipped_model_has_a_card():
    card = read_object(WEIGHTS / "card.json")
    assert set(card["models"]) == set(cards.MODELS) == {path.stem for path in WEIGHTS.glob("*.safetensors")}
    head, ruler, *lines = cards.model_table(card)
    assert {len(head)} == {len(line) for line in lines} and ruler[:3] == ["---", "---", "---:"]
