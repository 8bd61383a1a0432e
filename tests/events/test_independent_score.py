"""The evaluation agrees with a script that shares no code with it."""

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import random_events
from independent_score import score_files

from footpass_lib.events import metrics, public
from footpass_lib.events.playbyplay import read_events, write_events

HALVES = ("game_3_H1", "game_3_H2", "game_5_H1")


def assert_agree(predictions: Path, truth: Path) -> dict[str, float]:
    theirs = score_files(predictions, truth)
    ours = metrics.evaluate(read_events(predictions, "predictions"), read_events(truth, "truth"))
    values = {"macro_f1": ours.macro_f1, "micro_f1": ours.micro_f1} | ours.per_class["f1"].to_dict()
    assert theirs == pytest.approx(values, abs=1e-12)
    return theirs


@pytest.mark.parametrize("seed", range(5))
def test_random_events_with_tied_scores(seed, tmp_path):
    rng = np.random.default_rng(seed)
    made, truth = (random_events(rng, 400, HALVES, truth=real, frames=300) for real in (False, True))
    for events in (made, truth):
        events.table["jersey"] = rng.integers(1, 4, len(events)).astype("int16")  # crowded: players are contested
    made.table["score"] = made.table["score"].round(1)
    write_events(tmp_path / "made.json", made, "predictions")
    write_events(tmp_path / "truth.json", truth, "truth")
    assert assert_agree(tmp_path / "made.json", tmp_path / "truth.json")["micro_f1"] > 0.1


@pytest.mark.skipif(public.ENVIRONMENT_VARIABLE not in os.environ, reason="the public files are not here")
@pytest.mark.parametrize("name", (public.DST_PREDICTIONS, public.TAAD_PREDICTIONS))
def test_official_files(name):
    files = public.find()
    assert assert_agree(files.root / name, files.root / public.VAL_TRUTH)["macro_f1"] > 0.2
