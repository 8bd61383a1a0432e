from footpass_lib.events.metrics import match_events
from footpass_lib.events.misses import explain_misses
from footpass_lib.events.playbyplay import make_events

HALF = "game_0_H1"


def test_each_reason_by_hand():
    # (frame, team, jersey, class, box)
    truth = [
        (100, 0, 7, 1, 1),  # found
        (300, 0, 7, 1, 0),  # no box
        (500, 0, 7, 2, 1),  # called a drive
        (700, 0, 7, 2, 1),  # given to number 8
        (900, 0, 7, 2, 1),  # 20 frames late
        (1100, 0, 7, 7, 1),  # nothing near
        (1300, 1, 3, 8, 1),  # given to the other team
    ]
    made = [(101, 0, 7, 1), (500, 0, 7, 1), (705, 0, 8, 2), (920, 0, 7, 2), (1200, 0, 7, 7), (1300, 0, 3, 8)]
    columns = dict(zip(("frame", "team", "jersey", "class", "box"), zip(*truth, strict=True), strict=True))
    real = make_events([HALF], {"half": [HALF] * len(truth), "replay": [0] * len(truth), **columns})
    columns = dict(zip(("frame", "team", "jersey", "class"), zip(*made, strict=True), strict=True))
    predicted = make_events([HALF], {"half": [HALF] * len(made), "score": [0.9] * len(made), **columns})
    table = explain_misses(match_events(predicted, real))
    assert table.loc["all"].to_dict() == {
        "found": 1, "no box": 1, "wrong class": 1, "wrong player": 2, "wrong time": 1, "nothing near": 1,
    }  # fmt: skip
    assert table.loc["drive"].tolist() == [1, 1, 0, 0, 0, 0]
    assert table.loc["pass"].tolist() == [0, 0, 1, 1, 1, 0]
    assert table.loc["block", "wrong player"] == 1 and table.loc["shot"].sum() == 0
    assert table.loc["all"].sum() == len(truth)


def test_nothing_predicted_and_everything_found():
    columns = {"half": [HALF], "frame": [10], "team": [0], "jersey": [1], "class": [5], "box": [1], "replay": [0]}
    real = make_events([HALF], columns)
    nothing = make_events([HALF], {name: [] for name in ("half", "frame", "team", "jersey", "class", "score")})
    assert explain_misses(match_events(nothing, real)).loc["shot", "nothing near"] == 1
    perfect = real.with_table(real.table.assign(score=1.0))
    assert explain_misses(match_events(perfect, real)).loc["shot", "found"] == 1
