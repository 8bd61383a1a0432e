"""Controls of the fusion: which files stand in the graph network's place, and that shuffled ones move as a whole."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from footpass_lib.data.logits import read_logits, write_logits
from footpass_lib.schema import FootpassError
from footpass_lib.study import controls
from footpass_lib.study.controls import CONTROLS, control_logits
from footpass_lib.study.matches import open_data, sequence_part


@pytest.fixture()
def world(tiny_study, tmp_path):
    """A study with logits of noise for the sequence model's matches."""
    study = replace(tiny_study, project=tmp_path)
    root = open_data(study, workers=1)
    part, files = sequence_part(study, root), {}
    for number, source in enumerate(("taad", "gnn")):
        files[source] = {split: tmp_path / f"{source}_{split}.h5" for split in ("train", "val")}
        for split, path in files[source].items():
            halves = [part.half(name) for name in part.halves(split)]
            rng = np.random.default_rng(number)
            write_logits(path, [(h.half, h.first_frame, rng.normal(size=(9, 26, h.n_frames))) for h in halves])
    return study, root, files


def test_taad_twice(world):
    study, root, files = world
    assert control_logits(study, root, "taad-twice", files) == {"taad": files["taad"], "gnn": files["taad"]}


def test_shuffled_logits_are_those_of_another_time(world):
    study, root, files = world
    made = control_logits(study, root, "shuffled", files)
    assert made["taad"] == files["taad"] and set(made["gnn"]) == {"train", "val"}
    part = sequence_part(study, root)
    for split, path in made["gnn"].items():
        for name in part.halves(split):
            half = part.half(name)
            before, after = (read_logits(p, name, half.frames) for p in (files["gnn"][split], path))
            (by,) = [k for k in range(half.n_frames) if np.array_equal(np.roll(before, k, axis=2), after)]
            assert half.n_frames // 4 <= by <= 3 * half.n_frames // 4
    written = {path: path.stat().st_mtime_ns for path in made["gnn"].values()}
    assert control_logits(study, root, "shuffled", files) == made
    assert written == {path: path.stat().st_mtime_ns for path in made["gnn"].values()}
    write_logits(files["gnn"]["val"], [(h, part.half(h).first_frame, read_logits(files["taad"]["val"], h,
                                       part.half(h).frames)) for h in part.halves("val")])  # fmt: skip
    control_logits(study, root, "shuffled", files)
    assert made["gnn"]["val"].stat().st_mtime_ns > written[made["gnn"]["val"]]  # of other logits, made anew


def test_the_other_detector_has_the_next_seed(world, monkeypatch):
    study, root, files = world
    monkeypatch.setattr(controls.detector, "train_taad", lambda study, root, seed: (f"seed {seed}", None))
    monkeypatch.setattr(controls.detector, "detect", lambda study, root, *about, features: (root.limits, *about))
    made = control_logits(study, root, "other-taad", files)
    limits = sequence_part(study, root).limits
    assert made["gnn"] == {split: (limits, split, "seed 1", "taad-seed1") for split in ("train", "val")}


def test_other_controls_are_refused(world):
    with pytest.raises(FootpassError, match=f"unknown control 'none' .* expected one of {', '.join(CONTROLS)}"):
        control_logits(*world[:2], "none", world[2])
