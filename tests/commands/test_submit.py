"""The challenge's file: what is refused, what is written, what would be scored."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from footpass_lib.__main__ import main
from footpass_lib.commands.submit import complete, what_counts
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.events.playbyplay import make_events, read_events, write_events
from footpass_lib.schema import FootpassError
from footpass_lib.study.place import Study

HALVES = ("game_4_H1", "game_4_H2")


def events(rows: list[tuple], halves=HALVES):
    names = ("half", "frame", "team", "jersey", "class", "score")
    return make_events(halves, dict(zip(names, zip(*rows, strict=True), strict=True)))


ROWS = [
    ("game_4_H2", 900, 1, 7, 2, 0.5),
    ("game_4_H1", 40, 0, 9, 1, 0.15),
    ("game_4_H1", 40, 0, 8, 2, 0.9),
    ("game_4_H1", 12, 1, 7, 8, 0.1),
]


def test_sorted_by_half_frame_and_player_whatever_the_order():
    expected = [ROWS[3], ROWS[2], ROWS[1], ROWS[0]]
    for rows in (ROWS, ROWS[::-1]):
        table = complete(events(rows, HALVES[::-1]), HALVES).table
        assert list(table[["half", "frame", "team", "jersey", "class", "score"]].itertuples(index=False)) == expected


@pytest.mark.parametrize(
    ("rows", "halves", "message"),
    [
        (ROWS[1:], HALVES[:1], "lacks game_4_H2; expected game_4_H1, game_4_H2"),
        (ROWS, (*HALVES, "game_5_H1"), "names game_5_H1, which is not asked for"),
        (
            [*ROWS, (*ROWS[0][:5], 0.7)],
            HALVES,
            "frame 900, team 1, number 7, pass: the event is there twice",
        ),
        ([("game_4_H1", 3, 0, 1, 1, float("nan"))], HALVES, "game_4_H1: the event in frame 3 has no score"),
    ],
)
def test_what_is_refused(rows, halves, message):
    with pytest.raises(FootpassError, match=message):
        complete(events(rows, halves), HALVES)


def test_the_threshold_is_inclusive_and_every_half_has_a_row():
    table = what_counts(events(ROWS, (*HALVES, "game_5_H1")))
    assert table.loc["game_4_H1", ["drive", "pass", "block", "scored", "below"]].tolist() == [1, 1, 0, 2, 1]
    assert table.loc["game_5_H1"].sum() == 0
    assert table.loc["all", ["scored", "below"]].tolist() == [3, 1]


@pytest.fixture(scope="module")
def root(tiny_study: Study) -> DataRoot:
    return DataRoot(tiny_study.data_root)


def test_the_command_writes_a_checked_file(root: DataRoot, tmp_path: Path, capsys):
    halves = root.halves("challenge")
    half = root.half(halves[0])
    slot = int((half.jersey[:, 0] >= 0).argmax())
    row = (halves[0], half.frames[5], slot // 13, int(half.jersey[slot, 0]), 3, 0.6)
    source, out = tmp_path / "made.json", tmp_path / "sent" / "file.json"
    write_events(source, events([row], halves[::-1]), "predictions")
    arguments = ["submit", str(source), "--data-root", str(root.path), "--out", str(out)]
    assert main(arguments) == 0
    assert f"{out}: 1 events of {len(halves)} halves" in capsys.readouterr().out
    assert json.loads(out.read_text())["keys"] == list(halves)
    assert read_events(out, "predictions").table["frame"].tolist() == [half.frames[5]]

    stranger = max(half.jersey.max() + 1, 99)
    for wrong, message in (
        ((*row[:3], stranger, 3, 0.6), f"frame {half.frames[5]}: team {slot // 13} has no number {stranger}"),
        ((row[0], half.frames[-1] + 1, *row[2:]), f"{halves[0]}: an event in frame {half.frames[-1] + 1}"),
    ):
        write_events(source, events([wrong], halves), "predictions")
        out.unlink(missing_ok=True)
        assert main(arguments) == 1
        printed = capsys.readouterr().err
        assert str(source) in printed and message in printed and printed.count("\n") == 1
        assert not out.exists()
