"""Synthetic data roots: the official format, the same bytes again, and builds that were stopped."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import h5py
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal

from footpass_lib.data.boxes import fill_box_gaps
from footpass_lib.data.tactical import TacticalFile
from footpass_lib.data.video import VideoReader
from footpass_lib.events.playbyplay import read_events
from footpass_lib.files import sha256_file
from footpass_lib.schema import BOX_FRAME, CLASSES, COLUMN, FPS, FootpassError, game_of
from footpass_lib.study.place import DATA_SEED
from footpass_lib.study.profiles import PROFILES
from footpass_lib.synthetic import build as building
from footpass_lib.synthetic.build import SPLITS, SyntheticSizes, build, plan
from footpass_lib.synthetic.production import make_match, simulate
from footpass_lib.synthetic.unfilmed import play_unfilmed

SIZES = SyntheticSizes(
    train=0.4, val=0.4, test=0.4, challenge=0.4, half_minutes=0.2, height=64, width=112, rarity=0.8, dead_time=0.3
)
SEED = 5
HALF_FRAMES = 300


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A finished root, made by one worker."""
    out = tmp_path_factory.mktemp("synthetic") / "root"
    build(out, SIZES, SEED, progress=False)
    return out


def truth_of(root, split):
    folder = "challenge_truth" if split == "challenge" else "playbyplay_GT"
    return read_events(root / folder / f"playbyplay_{split}.json", "truth")


def test_the_manifest_names_every_file_with_its_hash(root):
    manifest = json.loads((root / "manifest.json").read_text())
    on_disk = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
    assert on_disk == {*manifest["files"], "manifest.json", "build.json"}
    assert {name: sha256_file(root / name) for name in manifest["files"]} == manifest["files"]
    assert manifest["settings"]["seed"] == SEED and manifest["settings"]["rarity"] == SIZES.rarity
    assert manifest["matches"] == {"train": [0], "val": [1], "test": [2], "challenge": [3]}
    assert {"numpy", "torch", "av", "python"} <= set(manifest["versions"])


@pytest.mark.parametrize("split", SPLITS)
def test_rows_are_in_the_official_format(root, split):
    with h5py.File(root / "data" / f"{split}_tactical_data.h5") as file:
        assert sorted(file) == [f"game_{SPLITS.index(split)}_H{n}" for n in (1, 2)]
        for half, first in ((f"game_{SPLITS.index(split)}_H1", 0), (f"game_{SPLITS.index(split)}_H2", HALF_FRAMES)):
            rows = file[half][()]
            assert rows.dtype == np.float32
            assert rows.shape == (22 * HALF_FRAMES, 13 if split == "challenge" else 14)
            table = pd.DataFrame(rows[:, :13], columns=list(COLUMN)[:13])
            counts = table.groupby("frame").size()
            assert counts.index.tolist() == list(range(first, first + HALF_FRAMES)) and (counts == 22).all()
            assert (table.groupby(["frame", "left_to_right"]).size() == 11).all()
            assert not table.duplicated(["frame", "left_to_right", "role_id"]).any()
            assert not table.duplicated(["frame", "left_to_right", "shirt_number"]).any()
            assert table.groupby("player_id")[["left_to_right", "shirt_number"]].nunique().max().max() == 1
            assert_array_equal(table["player_id"] // 100, table["left_to_right"] + 1)
            assert table["x"].between(-0.1, 1.1).all() and table["y"].between(-0.1, 1.1).all()
            boxes = table[["roi_x", "roi_y", "roi_width", "roi_height"]].to_numpy()
            whole = np.isfinite(boxes).all(axis=1)
            assert (np.isnan(boxes).all(axis=1) | whole).all() and 0.2 < whole.mean() < 0.95
            assert (boxes[whole, 2:] > 0).all() and (boxes[whole, :2] >= 0).all()
            assert (boxes[whole, :2] + boxes[whole, 2:] <= np.array(BOX_FRAME) + 0.01).all()


def test_a_squad_changes_ends_at_half_time(root):
    with h5py.File(root / "data" / "train_tactical_data.h5") as file:
        squads = {}
        for n in (1, 2):
            rows = file[f"game_0_H{n}"][()]
            for team in (0, 1):
                own = rows[rows[:, COLUMN["left_to_right"]] == team, COLUMN["shirt_number"]]
                squads[n, team] = set(own.astype(int))
    assert len(squads[1, 0] & squads[2, 1]) >= 9 and len(squads[1, 1] & squads[2, 0]) >= 9


@pytest.mark.parametrize("split", SPLITS)
def test_truth_agrees_with_the_rows(root, split):
    truth, tactical = truth_of(root, split), TacticalFile(root / "data" / f"{split}_tactical_data.h5")
    assert truth.halves == tactical.halves
    assert len(truth) > 0
    for name in truth.halves:
        half, events = tactical.half(name), truth.select([name]).table
        assert half.has_classes == (split != "challenge")
        assert events["frame"].between(half.frames[0], half.frames[-1]).all()
        assert events["frame"].is_monotonic_increasing
        if split == "challenge":
            continue
        listed = half.events()
        for column in ("frame", "team", "jersey", "class"):
            assert_array_equal(listed[column], events[column].astype(int))
        assert_array_equal(listed["has_box"], events["box"].astype(bool))
        visible = np.isfinite(fill_box_gaps(half.box)).all(axis=2)
        index = half.index_of(events["frame"].to_numpy())
        assert not visible[:, index[events["replay"].to_numpy(bool)]].any()


def test_videos_hold_both_halves(root):
    for job in plan(root, SIZES, SEED):
        with VideoReader(job.video) as video:
            assert (video.n_frames, video.height, video.width) == (2 * HALF_FRAMES, SIZES.height, SIZES.width)
            frame = video.read(HALF_FRAMES - 1, HALF_FRAMES + 1)
        assert frame.std() > 15
        assert np.abs(frame[0].astype(int) - frame[1]).mean() > 3  # the second half kicks off elsewhere


def test_the_sample_list_names_the_events_with_a_box(root):
    listed = json.loads((root / "data" / "TAAD_sample_list.json").read_text())
    assert sorted(listed) == ["train", "val"]
    for split, columns in listed.items():
        table = pd.DataFrame(columns)
        events = truth_of(root, split).table
        boxed = events[events["box"]]
        assert_array_equal(table["games"], boxed["half"])
        assert_array_equal(table["frames"], boxed["frame"])
        assert_array_equal(table["events"] + 1, boxed["class"])
        assert_array_equal(table["player_id"], 100 * (boxed["team"].astype(int) + 1) + boxed["jersey"])
        ends = {f"game_{game_of(half)}_H{n}": n * HALF_FRAMES - 1 for half in table["games"] for n in (1, 2)}
        assert_array_equal(table["end_frames"], table["games"].map(ends))


@pytest.mark.slow
def test_a_stopped_build_goes_on_and_ends_with_the_same_bytes(root, tmp_path, monkeypatch):
    out = tmp_path / "root"
    started = []

    def stopped(job, tick=None):
        started.append(job.game)
        if job.game == 2:
            raise KeyboardInterrupt
        return make_match(job)

    monkeypatch.setattr(building, "make_match", stopped)
    with pytest.raises(KeyboardInterrupt):
        build(out, SIZES, SEED, progress=False)
    assert started == [0, 1, 2]
    assert not (out / "manifest.json").exists() and not (out / "data").exists()
    # A kill in the middle of a file leaves its temporary part; a match whose video is not the one it was made with
    # counts as missing.
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (out / "videos" / f".game_2.mp4.{gone.pid}.abc.part").write_bytes(b"half a video")
    (out / "videos" / "game_1.mp4").write_bytes(b"another video")
    kept = (out / "parts" / "game_0.npz").stat().st_mtime_ns
    assert not building.is_done(plan(out, SIZES, SEED)[1])
    monkeypatch.setattr(building, "make_match", make_match)
    monkeypatch.setattr(building, "_assemble", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        build(out, SIZES, SEED, workers=2, progress=False)
    assert (out / "parts" / "game_0.npz").stat().st_mtime_ns == kept
    monkeypatch.undo()
    monkeypatch.setattr(building, "make_match", lambda *args: pytest.fail("a finished match was made again"))
    manifest = build(out, SIZES, SEED, progress=False)
    assert manifest["files"] == json.loads((root / "manifest.json").read_text())["files"]
    assert not list(out.rglob("*.part")) and not (out / "parts").exists()


def test_a_finished_root_is_left_alone(root, monkeypatch):
    monkeypatch.setattr(building, "make_match", lambda *args: pytest.fail("a finished root was made again"))
    times = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    assert build(root, SIZES, SEED, workers=3)["settings"]["seed"] == SEED
    assert times == {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}


def test_another_seed_plays_and_films_another_match(root, tmp_path):
    job = plan(tmp_path, SIZES, SEED + 1)[0]
    make_match(job)
    assert sha256_file(job.video) != sha256_file(root / "videos" / "game_0.mp4")
    with np.load(job.part) as part, h5py.File(root / "data" / "train_tactical_data.h5") as file:
        assert not np.array_equal(part["rows_game_0_H1"], file["game_0_H1"][()], equal_nan=True)


def test_a_match_does_not_depend_on_the_rest_of_the_plan(root, tmp_path):
    # The first test match is number 2 here, but only its split and index seed it.
    longer = replace(SIZES, train=0.8)
    job = next(job for job in plan(tmp_path, longer, SEED) if job.split == "test")
    assert job.game == 3
    make_match(job)
    assert sha256_file(job.video) == sha256_file(root / "videos" / "game_2.mp4")


def test_other_settings_in_the_folder_are_refused(root):
    with pytest.raises(FootpassError, match=r"root: .*other settings: rarity = 0\.8 \(asked for: 0\.1\)"):
        build(root, replace(SIZES, rarity=0.1), SEED)
    with pytest.raises(FootpassError, match=r"seed = 5 \(asked for: 6\)"):
        build(root, SIZES, SEED + 1)


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FootpassError, match="is not empty"):
        build(tmp_path, SIZES, SEED)
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_root_that_lost_a_file_is_an_error(root, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(root, copy)
    (copy / "videos" / "game_1.mp4").unlink()
    with pytest.raises(FootpassError, match=r"game_1\.mp4: is missing"):
        build(copy, SIZES, SEED)


def test_plans():
    jobs = plan("out", replace(SIZES, train=24, val=6, test=12, challenge=12, half_minutes=3), 0)
    assert [sum(job.split == split for job in jobs) for split in SPLITS] == [4, 1, 2, 2]
    assert [job.game for job in jobs] == list(range(9))
    assert sum(job.n_frames for job in jobs) == 54 * 60 * FPS
    assert {job.half_frames for job in jobs} == {3 * 60 * FPS}
    with pytest.raises(FootpassError, match="must be positive"):
        plan("out", replace(SIZES, val=0), 0)
    with pytest.raises(FootpassError, match=r"0\.3 minutes of val make halves of 225 frames; expected at least 250"):
        plan("out", replace(SIZES, val=0.3), 0)


def test_the_embedded_test_split_holds_every_class():
    """At least ten events of each class; the simulator alone decides this, not the camera."""
    sizes, counts = PROFILES["embedded"].synthetic, np.zeros(len(CLASSES), int)
    for job in (job for job in plan("unused", sizes, DATA_SEED) if job.split == "test"):
        for play in simulate(job, job.generators()):
            counts += np.bincount(play.events["class"], minlength=len(CLASSES))
    assert (counts[1:] >= 10).all(), dict(zip(CLASSES, counts, strict=True))


def test_play_that_is_not_rendered_has_the_same_rows(root):
    job = plan(root, SIZES, SEED)[0]
    with h5py.File(root / "data" / "train_tactical_data.h5") as file:
        for half in play_unfilmed(job):
            assert_array_equal(file[half.play.half][()], half.rows)
