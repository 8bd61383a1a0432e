import copy
import json
import math

import numpy as np
import pandas as pd
import pytest
from conftest import random_events
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footpass_lib.events.metrics import match_events
from footpass_lib.events.misses import explain_misses
from footpass_lib.events.playbyplay import count_table, make_events, read_events, write_events
from footpass_lib.postprocessing.evidence import detection_evidence
from footpass_lib.schema import FootpassError

TRUTH = {
    "keys": ["game_3_H1", "game_3_H2"],
    "events": {"game_3_H1": [[5, 0, 7, 1, 1, 0], [9, 1, 99, 8, 0, 1, "extra", 2]], "game_3_H2": []},
}
PREDICTIONS = {
    "keys": ["game_3_H1", "game_3_H2"],
    "events": {"game_3_H1": [[5, 0, 7, 1, 0.75], [9, 1, 99, 8, 1]], "game_3_H2": [[70000, 1, 2, 3, 0.0, "ignored"]]},
}


@pytest.fixture()
def write(tmp_path):
    def write(content):
        path = tmp_path / "events.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_reads_truth(write):
    events = read_events(write(TRUTH), "truth")
    assert events.halves == ("game_3_H1", "game_3_H2") and events.games == (3,)
    assert events.table[["frame", "team", "jersey", "class"]].to_numpy().tolist() == [[5, 0, 7, 1], [9, 1, 99, 8]]
    assert events.table["box"].tolist() == [True, False] and events.table["replay"].tolist() == [False, True]
    assert events.table["score"].isna().all()
    assert events.table["extra"].tolist() == [[], ["extra", 2]]


def test_reads_predictions(write):
    events = read_events(write(PREDICTIONS), "predictions")
    assert events.table["score"].tolist() == [0.75, 1.0, 0.0]
    assert events.table["half"].tolist() == ["game_3_H1", "game_3_H1", "game_3_H2"]
    assert events.table["box"].isna().all() and "extra" not in events.table


def test_what_is_meant_is_read(write, tmp_path):
    content = copy.deepcopy(PREDICTIONS)
    content["events"]["game_3_H1"] = [[5.0, 0.0, 7.0, 1, 1 + 1e-7], [9, 1, 99, 8.0, -1e-7]]
    path = write("\ufeff" + json.dumps(content))
    table = read_events(path, "predictions").table
    read = table[["frame", "team", "jersey", "class", "score"]].to_numpy().tolist()
    assert read[:2] == [[5, 0, 7, 1, 1], [9, 1, 99, 8, 0]]
    assert [str(table[name].dtype) for name in ("frame", "jersey", "class")] == ["int64", "int16", "int8"]
    truth = copy.deepcopy(TRUTH)
    truth["events"]["game_3_H1"].insert(0, [2, 1, 4, 6])  # without flags, beside events with them
    events = read_events(write(truth), "truth")
    assert events.table["box"].isna().tolist() == events.table["replay"].isna().tolist() == [True, False, False]
    write_events(tmp_path / "again.json", events, "truth")
    assert json.loads((tmp_path / "again.json").read_text()) == truth


def test_an_unknown_jersey_matches_nothing_and_is_counted(write):
    events = {}
    for kind, flags in (("truth", [1, 0]), ("predictions", [0.9])):
        rows = [[5, 0, -1, 1, *flags], [50, 1, 8, 2, *flags], [90, 1, -1, 2, *flags]]
        with pytest.warns(UserWarning, match=r"events\.json: the jersey of 2 of 3 events is unknown \(-1\)"):
            events[kind] = read_events(write({"keys": ["game_3_H1"], "events": {"game_3_H1": rows}}), kind)
    matching = match_events(events["predictions"], events["truth"])
    assert matching.predictions["tp"].tolist() == matching.truth["found"].tolist() == [False, True, False]
    assert explain_misses(matching).loc["all", ["found", "wrong player"]].tolist() == [1, 2]
    evidence = detection_evidence(events["predictions"])
    assert evidence.players("game_3_H1").tolist() == [1008]
    assert np.isnan(evidence.peaks(events["predictions"], 3).value).tolist() == [True, False, True]
    assert np.isnan(evidence.team_peaks(events["predictions"], 3).value).all()


def test_a_round_trip_changes_nothing(write, tmp_path):
    for content, kind in ((TRUTH, "truth"), (PREDICTIONS, "predictions")):
        events = read_events(write(content), kind)
        write_events(tmp_path / "again.json", events, kind)
        again = read_events(tmp_path / "again.json", kind)
        assert again.halves == events.halves
        pd.testing.assert_frame_equal(again.table, events.table)
    assert not list(tmp_path.glob("*.part"))


def test_official_files_survive_a_round_trip_byte_for_byte(public_files, tmp_path):
    for name, kind in (("GT/playbyplay_val", "truth"), ("PRED/playbyplay_DST_val", "predictions")):
        source = public_files.root / f"playbyplay_{name}.json"
        write_events(tmp_path / "copy.json", read_events(source, kind), kind)
        assert json.loads((tmp_path / "copy.json").read_text()) == json.loads(source.read_text())


def test_selecting_keeps_halves_without_events(write):
    events = read_events(write(TRUTH), "truth")
    second = events.select(["game_3_H2", "game_9_H1"])
    assert second.halves == ("game_3_H2",) and len(second) == 0
    assert len(events.select_games([3])) == 2 and events.select_games([4]).halves == ()
    assert count_table(events).tolist() == [1, 0, 0, 0, 0, 0, 0, 1]


def broken(base, change):
    content = copy.deepcopy(base)
    change(content)
    return content


def set_field(index, value):
    def change(content):
        content["events"]["game_3_H1"][1][index] = value

    return change


BAD_TRUTH = {
    "frame must be an integer": set_field(0, 9.5),
    "frame must be between 0 and 2147483647": set_field(0, -1),
    "frame must be between": set_field(0, 10**400),
    "team must be between 0 and 1": set_field(1, 2),
    "jersey must be an integer, found true/false": set_field(2, True),
    "class must be between 1 and 8, found 0": set_field(3, 0),
    "class must be between 1 and 8, found 9": set_field(3, 9),
    "box must be between 0 and 1": set_field(4, 2),
    "replay must be an integer, found null": set_field(5, None),
    "expected 6 fields .*, or the first 4, found 5": lambda c: c["events"]["game_3_H1"].__setitem__(1, [1, 0, 7, 1, 1]),
    "expected a list \\[frame": lambda c: c["events"]["game_3_H1"].__setitem__(1, {"frame": 1}),
}


@pytest.mark.parametrize("message", BAD_TRUTH)
def test_bad_truth_names_file_half_and_event(write, message):
    path = write(broken(TRUTH, BAD_TRUTH[message]))
    with pytest.raises(FootpassError, match=rf"events\.json: game_3_H1, event 1: .*{message}"):
        read_events(path, "truth")


@pytest.mark.parametrize("value, message", [
    (1.01, "between 0 and 1"), (1 + 1e-5, "between 0 and 1"), (-0.1, "between 0 and 1"), (math.nan, "finite"),
    (math.inf, "finite"),
    ("0.5", "must be a number"), (True, "must be a number"), (None, "must be a number"),
])  # fmt: skip
def test_bad_scores(write, value, message):
    with pytest.raises(FootpassError, match=f"game_3_H1, event 1: score .*{message}"):
        read_events(write(broken(PREDICTIONS, set_field(4, value))), "predictions")


BAD_FRAMES = {
    "expected an object": "[1, 2]",
    "'keys' must be a list, found nothing": '{"events": {}}',
    "'events' must be a object, found list": '{"keys": [], "events": []}',
    "appears twice": '{"keys": [], "events": {}, "keys": []}',
    "'game_1_H1' appears twice": '{"keys": ["game_1_H1"], "events": {"game_1_H1": [], "game_1_H1": []}}',
    "game_1_H1 is named twice": '{"keys": ["game_1_H1", "game_1_H1"], "events": {"game_1_H1": []}}',
    "not named in 'keys'": '{"keys": [], "events": {"game_1_H1": []}}',
    "has no list of events": '{"keys": ["game_1_H1"], "events": {}}',
    "keys\\[0\\]: 'first' is no name": '{"keys": ["first"], "events": {"first": []}}',
    "game_1_H1: expected a list of events, found number": '{"keys": ["game_1_H1"], "events": {"game_1_H1": 3}}',
    "no valid JSON": '{"keys": [',
    "no valid": "[" * 100_000,
}


@pytest.mark.parametrize("message", BAD_FRAMES)
def test_bad_outer_shape(write, message):
    with pytest.raises(FootpassError, match=rf"events\.json: .*{message}"):
        read_events(write(BAD_FRAMES[message]), "truth")


def test_unreadable_files(tmp_path):
    with pytest.raises(FootpassError, match="cannot be read"):
        read_events(tmp_path / "absent.json", "truth")
    with pytest.raises(FootpassError, match="cannot be read"):
        read_events(tmp_path, "truth")
    (tmp_path / "latin.json").write_bytes(b'{"keys": ["\xe9"]}')
    with pytest.raises(FootpassError, match="no UTF-8 text"):
        read_events(tmp_path / "latin.json", "truth")
    with pytest.raises(FootpassError, match="unknown kind"):
        read_events(tmp_path / "absent.json", "both")


def test_nothing_unreadable_is_written(tmp_path):
    target = tmp_path / "out.json"
    good = make_events(
        ["game_1_H1"], {"half": ["game_1_H1"], "frame": [1], "team": [0], "jersey": [1], "class": [1], "score": [0.5]}
    )
    write_events(target, good, "predictions")
    before = target.read_text()
    for column, value in (("frame", 1.5), ("class", 0), ("score", 2.0)):
        with pytest.raises(FootpassError, match="game_1_H1, event 0"):
            write_events(target, good.with_table(good.table.assign(**{column: [value]})), "predictions")
    with pytest.raises(FootpassError, match="box must be an integer, found null"):
        write_events(target, good, "truth")
    with pytest.raises(FootpassError, match="not among its halves"):
        write_events(target, good.with_table(good.table.assign(half=["game_2_H1"])), "predictions")
    assert target.read_text() == before and [p.name for p in tmp_path.iterdir()] == ["out.json"]


def test_an_unwritable_place_is_one_clear_error(tmp_path):
    (tmp_path / "file").write_text("")
    empty = make_events(["game_1_H1"], {name: [] for name in ("half", "frame", "team", "jersey", "class")})
    with pytest.raises(FootpassError, match="cannot be written"):
        write_events(tmp_path / "file" / "out.json", empty, "truth")


# fuzz: whatever is done to a good file, the reader gives a table or our error

ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.just([]), st.just({}),
    st.just(10**500), st.lists(st.integers(-1, 9), max_size=7),
    st.sampled_from(["game_3_H1", "keys", "events", 1e308, -0.0, 2**31, 2**63]),
)  # fmt: skip


def _places(value, path=()):
    yield path
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield from _places(child, (*path, key))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["truth", "predictions"]))
def test_mutated_structures_raise_only_our_errors(tmp_path_factory, data, kind):
    content = copy.deepcopy(TRUTH if kind == "truth" else PREDICTIONS)
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from([p for p in _places(content) if p] or [("keys",)]))
        holder = content
        for key in parents:
            holder = holder[key]
        action = data.draw(st.sampled_from(["set", "delete", "add"]))
        if action == "set":
            holder[last] = data.draw(ODD)
        elif action == "delete":
            del holder[last]
        elif isinstance(holder, dict):
            holder[data.draw(st.text(max_size=4))] = data.draw(ODD)
        else:
            holder.insert(last, data.draw(ODD))
        if not isinstance(content, dict) or not content:
            break
    _read_or_refuse(tmp_path_factory, json.dumps(content).encode(), kind)


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), kind=st.sampled_from(["truth", "predictions"]))
def test_mutated_bytes_raise_only_our_errors(tmp_path_factory, data, kind):
    text = bytearray(json.dumps(TRUTH if kind == "truth" else PREDICTIONS).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(text)))
        stop = data.draw(st.integers(start, min(len(text), start + 12)))
        odd = st.sampled_from([b"NaN", b"1e999", b'"', b"[", b"}"])
        text[start:stop] = data.draw(st.one_of(st.binary(max_size=6), odd))
    _read_or_refuse(tmp_path_factory, bytes(text), kind)


def _read_or_refuse(tmp_path_factory, text, kind):
    path = tmp_path_factory.getbasetemp() / "mutated.json"
    path.write_bytes(text)
    try:
        events = read_events(path, kind)
    except FootpassError as error:
        assert "mutated.json" in str(error) and len(str(error)) < 500
        return
    # What was accepted must be sound, and must be written and read again as it is.
    assert events.table["class"].between(1, 8).all() and events.table["team"].between(0, 1).all()
    if kind == "predictions":
        assert events.table["score"].between(0, 1).all()
    write_events(path, events, kind)
    pd.testing.assert_frame_equal(read_events(path, kind).table, events.table)


def test_random_tables_survive_a_round_trip(tmp_path):
    for seed in range(5):
        events = random_events(np.random.default_rng(seed), 50, ("game_1_H1", "game_1_H2"), truth=False)
        write_events(tmp_path / "t.json", events, "predictions")
        again = read_events(tmp_path / "t.json", "predictions").table
        expected = events.table.sort_values("half", kind="stable", ignore_index=True)
        pd.testing.assert_frame_equal(again, expected)
