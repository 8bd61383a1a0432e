"""Effects of steps, counted by hand and against the scores themselves."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import random_events

from footpass_lib.events.metrics import evaluate, match_events
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.postprocessing.corrections import gate, nms_step, reassign_jerseys, refine_frames
from footpass_lib.postprocessing.effects import FALSE_POSITIVE, NOT_EVALUATED, TRUE_POSITIVE, effect, verdicts
from footpass_lib.postprocessing.ensemble import merge
from footpass_lib.postprocessing.evidence import detection_evidence
from footpass_lib.schema import CLASS_ID, EVENT_CLASSES, FootpassError

HALF = "game_1_H1"
PASS, TACKLE = CLASS_ID["pass"], CLASS_ID["tackle"]


def made(*rows: tuple, names: tuple[str, ...] = ("frame", "team", "jersey", "class", "score")) -> Events:
    return make_events([HALF], {"half": [HALF] * len(rows), **dict(zip(names, zip(*rows, strict=True), strict=True))})


def truth(*rows: tuple) -> Events:
    return made(*rows, names=("frame", "team", "jersey", "class"))


def test_verdicts_stand_in_the_order_of_the_events():
    predictions = made((100, 0, 9, PASS, 0.9), (100, 0, 9, PASS, 0.1), (300, 0, 9, PASS, 0.9), (204, 0, 8, PASS, 0.2))
    matching = match_events(predictions, truth((100, 0, 9, PASS), (200, 0, 8, PASS)))
    expected = [TRUE_POSITIVE, NOT_EVALUATED, FALSE_POSITIVE, TRUE_POSITIVE]
    assert verdicts(predictions, matching).tolist() == expected


def test_a_gate_by_hand():
    real = truth((100, 0, 9, PASS), (500, 0, 9, TACKLE), (900, 0, 9, TACKLE))
    before = made((100, 0, 9, PASS, 0.9), (500, 0, 9, TACKLE, 0.5), (600, 0, 9, TACKLE, 0.4), (700, 0, 9, TACKLE, 0.8),
                  (900, 0, 9, TACKLE, 0.9), (950, 0, 9, PASS, 0.2))  # fmt: skip
    table = effect(before, gate(before, None, {"tackle": 0.6}), real)
    counts = table.drop(columns=["f1 before", "f1 after"]).astype(int)
    assert counts.loc["tackle"].to_dict() == {
        "events before": 4, "events after": 2, "removed": 2, "moved": 0, "re-assigned": 0, "added": 0, "tp lost": 1,
        "tp gained": 0, "fp removed": 1, "fp added": 0,
    }  # fmt: skip
    assert counts.loc["pass"].tolist() == [2, 2, 0, 0, 0, 0, 0, 0, 0, 0] and counts.loc["all", "removed"] == 2
    assert table.loc["tackle", ["f1 before", "f1 after"]].tolist() == pytest.approx([4 / 6, 2 / 4])
    assert table.loc["all", "f1 before"] == pytest.approx((4 / 6 + 2 / 3) / 8)
    assert list(table.index) == [*EVENT_CLASSES, "all"]


def test_moves_and_new_actors_by_hand():
    real = truth((100, 0, 9, PASS), (200, 0, 8, PASS), (300, 0, 9, PASS))
    before = made((115, 0, 9, PASS, 0.9), (200, 0, 9, PASS, 0.9), (300, 0, 9, PASS, 0.9))
    detector = detection_evidence(made((104, 0, 9, PASS, 0.9), (200, 0, 8, PASS, 0.9), (313, 0, 9, PASS, 0.9)))
    moved = effect(before, refine_frames(before, detector, {"pass": 0.5}, window=13), real).loc["pass"]
    # 115 moves to 104 and is right by now, 300 moves to 313 and is wrong by now
    assert moved[["moved", "tp lost", "tp gained", "fp removed", "fp added"]].tolist() == [2, 1, 1, 1, 1]
    given = effect(before, reassign_jerseys(before, detector, {"pass": 0.5}, absent=0.0), real).loc["pass"]
    assert given[["re-assigned", "tp lost", "tp gained", "fp removed", "fp added"]].tolist() == [1, 0, 1, 1, 0]


def test_an_ensemble_by_hand():
    real = truth((100, 0, 9, PASS), (300, 0, 9, PASS))
    one = made((90, 0, 9, PASS, 0.8), (200, 0, 9, PASS, 0.8))
    two = made((100, 0, 9, PASS, 0.8), (204, 0, 9, PASS, 0.8), (300, 0, 9, PASS, 0.8), (400, 0, 9, PASS, 0.2))
    step = merge([one, two])
    first, second = (effect(events, step, real, model=k).loc["pass"] for k, events in enumerate((one, two)))
    names = ["events before", "events after", "moved", "added", "tp lost", "tp gained", "fp removed", "fp added"]
    assert first[names].tolist() == [2, 4, 2, 2, 0, 1, 0, 1]
    assert second[names].tolist() == [4, 4, 2, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("seed", range(6))
def test_the_balance_is_that_of_the_scores(seed: int):
    rng = np.random.default_rng(seed)
    halves = ("game_1_H1", "game_1_H2")
    real = random_events(rng, 120, halves, truth=True, frames=150)
    one, two = (random_events(rng, 150, halves, truth=False, frames=150) for _ in range(2))
    evidence, each = detection_evidence(two), dict.fromkeys(EVENT_CLASSES, 0.3)
    steps = {
        "nms": nms_step(one),
        "gate": gate(one, evidence, each),
        "frames": refine_frames(one, evidence, each),
        "jerseys": reassign_jerseys(one, evidence, each, absent=0.0),
        "ensemble": merge([one, two], alone=each),
    }
    changed = 0
    for step in steps.values():
        table = effect(one, step, real)
        before, after = evaluate(one, real), evaluate(step.events, real)
        gain = after.per_class.loc[list(EVENT_CLASSES), ["tp", "fp"]] - before.per_class[["tp", "fp"]]
        for kind, plus, minus in (("tp", "tp gained", "tp lost"), ("fp", "fp added", "fp removed")):
            np.testing.assert_array_equal((table[plus] - table[minus])[:-1], gain[kind])
        sizes = table["events before"] - table["events after"]
        if step is not steps["ensemble"]:  # there events also become one
            np.testing.assert_array_equal(sizes, table["removed"] - table["added"])
        assert (table["f1 after"]["all"], table["f1 before"]["all"]) == (after.macro_f1, before.macro_f1)
        assert (table >= 0).all(axis=None)
        changed += table.loc["all", ["tp lost", "tp gained", "fp removed", "fp added"]].gt(0).sum()
    assert changed > 8


def test_events_of_another_step_are_refused():
    one, two = made((90, 0, 9, PASS, 0.8)), made((91, 0, 9, PASS, 0.8))
    for other in (two, made((90, 0, 9, PASS, 0.8), (91, 0, 9, PASS, 0.8))):
        with pytest.raises(FootpassError, match="input 0 has other events"):
            effect(other, nms_step(one), truth((90, 0, 9, PASS)))
    with pytest.raises(FootpassError, match="input 1 has other events"):
        effect(one, nms_step(one), truth((90, 0, 9, PASS)), model=1)
