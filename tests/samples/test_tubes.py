"""Tubes: cut where the player is, the same in training as in inference, and negatives that the detector falls for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.logits import background_logits
from footpass_lib.data.tubes import TubeHalf, read_key, tubes_path, write_tubes
from footpass_lib.data.video import VideoReader
from footpass_lib.models.taad import TAAD, TAADSettings
from footpass_lib.models.x3d import X3DSettings
from footpass_lib.samples.tubes import TubeClips, TubeSettings, cut_tubes, tube_corners
from footpass_lib.schema import N_SLOTS, FootpassError, game_of
from footpass_lib.spotting import tubes as spotted
from footpass_lib.spotting.detector import InferenceSettings, half_logits, half_logits_and_features
from footpass_lib.study.place import Study
from footpass_lib.study.taad import false_alarms
from footpass_lib.study.tubes import film_tubes, keep_tubes
from footpass_lib.synthetic.production import AROUND, chosen_frames, plan, simulate

SETTINGS = TubeSettings(frames=12, side=6, margin=2, event_offset=(3, 8), events=40, negatives=20, pool=4)
SMALL = TAADSettings(
    encoder=X3DSettings(width_factor=1, depth_factor=1, stages=2, level=4, pyramid_width=8, pooling="flatten"),
    hidden=16,
)


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> TubeHalf:
    """Slots 2 and 5 over 60 frames; slot 2 is unseen in 30..33; tubes are as light as their frame, slot 5's darker."""
    seen = np.zeros((N_SLOTS, 60), bool)
    seen[[2, 5]] = True
    seen[2, 30:34] = False
    class_id = np.zeros((N_SLOTS, 60), np.uint8)
    class_id[2, [20, 45]] = 1, 6
    filmed = np.ones(60, bool)
    filmed[50:52] = False
    frame, slot = np.nonzero(seen.T)
    rows = np.broadcast_to((4 * frame - 3 * (slot == 5))[:, None, None, None], (len(frame), 12, 12, 3)).clip(0)
    boxes = np.tile([4.0, 3.0, 8.0, 9.0], (len(frame), 1))
    path = tubes_path(tmp_path_factory.mktemp("tubes"), "game_1_H1")
    write_tubes(path, [rows[:7].astype(np.uint8), rows[7:].astype(np.uint8)], 12, seen, boxes, class_id, filmed, "made")
    return TubeHalf(path)


def test_tubes_are_cut_where_they_should_be_and_are_grey_outside():
    frames = np.arange(2 * 6 * 8 * 3, dtype=np.uint8).reshape(2, 6, 8, 3)
    cut = cut_tubes(frames, np.array([0, 1, 1]), np.array([[2, 1], [-2, 4], [900, -900]]), 4)
    assert np.array_equal(cut[0], frames[0, 1:5, 2:6])
    assert (
        np.array_equal(cut[1, :2, 2:], frames[1, 4:6, :2])
        and (cut[1, 2:] == 115).all()
        and (cut[1, :, :2] == 115).all()
    )
    assert (cut[2] == 115).all()


def test_corners_follow_the_smoothed_box_through_gaps():
    boxes = np.full((N_SLOTS, 50, 4), np.nan, np.float32)
    at = np.arange(50)
    boxes[3] = np.stack([2 * at, 10 + 0 * at, 2 * at + 6, 20 + 0 * at], axis=1)
    boxes[3, 20:30] = np.nan
    corners = tube_corners(boxes, 10)
    middle = slice(12, 38)
    assert np.abs(corners[3, middle, 0] - (2 * at[middle] + 3 - 5)).max() <= 1
    assert (corners[3, :, 1] == 10).all() and (corners[0] == 0).all()


def test_wider_tubes_hold_the_narrower_ones():
    boxes = np.cumsum(np.random.default_rng(0).normal(0, 3, (N_SLOTS, 80, 4)), axis=1)
    assert np.array_equal(tube_corners(boxes, 38) + 3, tube_corners(boxes, 32))


def test_clips_hold_events_in_the_frames_that_count(half):
    clips = TubeClips([half], SETTINGS, seed=1, epoch=1)
    assert len(clips) == 60
    for i in range(SETTINGS.events):
        clip = clips[i]
        assert clip["video"].shape == (3, 12, 6, 6) and clip["boxes"].shape == (1, 12, 4)
        events = (clip["labels"] > 0) & (clip["counts"] > 0)
        assert events.any() and not clip["counts"][:, [0, 1, 10, 11]].any()
    for i in range(SETTINGS.events, 60):  # of both players, never over an event or frames without a picture
        assert not ((clips[i]["labels"] > 0) & (clips[i]["counts"] > 0)).any()
        assert clips.clips[i][2] + SETTINGS.frames <= 50 or clips.clips[i][2] >= 52
    assert {int(slot) for slot in clips.clips[SETTINGS.events :, 1]} == {2, 5}


def test_a_clip_shows_its_player_and_nothing_where_nobody_is_seen(half):
    clip = TubeClips([half], SETTINGS, seed=1, epoch=1, augment=False).clip(0, 2, 25, None)
    level = (clip["video"] * 0.225 + 0.45) * 255
    expected = torch.tensor([4.0 * t if not 30 <= t < 34 else 115.0 for t in range(25, 37)])
    assert torch.allclose(level[0, :, 3, 3], expected, atol=0.01)
    assert clip["mask"][0].tolist() == [float(not 30 <= t < 34) for t in range(25, 37)]
    assert clip["boxes"][0, 0].tolist() == [1, 0, 5, 6]


def test_draws_depend_on_seed_and_epoch_alone(half):
    drawn = [TubeClips([half], SETTINGS, seed, epoch) for seed, epoch in ((1, 1), (1, 1), (1, 2), (2, 1))]
    assert all(torch.equal(drawn[0][i]["video"], drawn[1][i]["video"]) for i in (0, 45))
    assert not np.array_equal(drawn[0].clips, drawn[2].clips) and not np.array_equal(drawn[0].clips, drawn[3].clips)
    mirrored = [(drawn[0][i]["boxes"][0, 0, 0], drawn[0][i]["video"].std()) for i in range(60)]
    assert len({float(a) for a, _ in mirrored}) > 2


def test_negatives_are_those_that_the_detector_falls_for(half):
    def judge(clips):
        return np.array([float(clips.clips[i][1] == 5) for i in range(len(clips))])

    negatives = TubeClips([half], SETTINGS, 3, 1, judge).clips[SETTINGS.events :, 1]
    evenly = TubeClips([half], SETTINGS, 3, 1).clips[SETTINGS.events :, 1]
    assert (negatives == 5).mean() > 0.9 > (evenly == 5).mean()


def test_a_detector_says_how_sure_it_is_and_goes_on_training(half):
    model = TAAD(SMALL).train()
    clips = TubeClips([half], SETTINGS, 3, 1)
    sure = false_alarms(model, clips, batch_size=7)
    assert model.training and sure.shape == (60,) and ((sure > 0) & (sure < 1)).all()
    assert not np.allclose(sure, sure[0])
    again = TubeClips([half], SETTINGS, 3, 2, partial(false_alarms, model))
    assert len(again) == 60


def test_a_label_stays_with_the_player_who_holds_the_slot(half, tmp_path: Path):
    holder = np.where(np.arange(60) < 45, 9, 30)[None].repeat(N_SLOTS, axis=0)
    path, start = tubes_path(tmp_path, "game_1_H1"), 40
    write_tubes(path, [half.rows], 12, half.seen, half.boxes, half.class_id, half.filmed, holder=holder)
    labels = [
        TubeClips([kept], replace(SETTINGS, negatives=0), 0, 1).clip(0, 2, start, None)["labels"][0]
        for kept in (half, TubeHalf(path))
    ]
    around = [found[43 - start : 48 - start].tolist() for found in labels]
    assert around == [[6, 6, 6, 6, 6], [0, 0, 6, 6, 6]]


def test_errors_name_what_is_wrong(half, tmp_path: Path):
    with pytest.raises(FootpassError, match="event_offset"):
        replace(SETTINGS, margin=4)
    with pytest.raises(FootpassError, match="no event"):
        TubeClips([], SETTINGS, 0, 1)
    with pytest.raises(FootpassError, match=r"nothing\.npy"):
        _ = TubeHalf(tmp_path / "nothing.npy").seen
    assert read_key(tmp_path / "nothing.npy") is None and read_key(half.path) == "made"
    with pytest.raises(FootpassError, match="expected 116"):
        write_tubes(tmp_path / "a.npy", [], 12, half.seen, half.boxes, half.class_id, half.filmed)
    assert not list(tmp_path.iterdir())


def test_training_and_inference_see_the_same_pixels(tiny_study: Study, tmp_path: Path):
    root, settings = DataRoot(tiny_study.data_root), TubeSettings()
    kept = keep_tubes(root, "val", tmp_path, settings.kept)
    name = root.halves("val")[0]
    clips = TubeClips(kept, replace(settings, events=1, negatives=0), 0, 0, augment=False)
    with VideoReader(root.video(game_of(name))) as reader:
        places = spotted.tube_places(root.half(name), (reader.height, reader.width), settings.side)
        windows = list(spotted._windows(places, reader, root.half(name).first_frame, [0, 20], settings.frames))
    for start, (slots, batch) in zip((0, 20), windows, strict=True):
        assert len(slots) > 3
        for k, slot in enumerate(slots):
            clip = clips.clip(0, slot, start, None)
            for part in ("video", "boxes", "mask"):
                assert torch.allclose(clip[part], batch[part][k], atol=1e-4), (part, slot)
    made = [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]
    keep_tubes(root, "val", tmp_path, settings.kept)
    assert made == [path.stat().st_mtime_ns for path in sorted(tmp_path.iterdir())]


def test_a_half_in_tubes(tiny_study: Study):
    root, model = DataRoot(tiny_study.data_root), TAAD(SMALL, seed=2)
    name = root.halves("val")[0]
    settings = InferenceSettings(window=32, stride=20, tube=32, fill_gaps=True)
    logits, features, seen = half_logits_and_features(model, root, name, settings)
    assert logits.shape == (9, N_SLOTS, root.half(name).n_frames) and features.shape[2] == model.encoder.channels
    assert (
        (logits[:, ~seen] == background_logits(1)[:, 0]).all()
        and np.isfinite(logits.astype(np.float32)).all()
        and features[seen].any()
    )
    assert np.array_equal(logits, half_logits(model, root, name, settings))
    limits = spotted.window_limits([0, 20, 28], 32, 60)
    assert limits == [(0, 26), (26, 40), (40, 60)]


def test_matches_are_filmed_around_their_events(tiny_study: Study, tmp_path: Path):
    job = next(job for job in plan(tmp_path, tiny_study.profile.synthetic, 77) if job.split == "train")
    film_tubes(job, tmp_path / "tubes", 38)
    assert not job.video.exists()
    for play in simulate(job, job.generators()):
        kept = TubeHalf(tubes_path(tmp_path / "tubes", play.half))
        wanted = np.zeros(play.n_frames, bool)
        for frame in play.events["frame"]:
            wanted[max(0, frame - AROUND) : frame + AROUND + 1] = True
        assert kept.filmed[wanted].all() and np.array_equal(
            kept.filmed, chosen_frames(play, np.random.default_rng([77, job.index, 7]))
        )
        assert not kept.seen[:, ~kept.filmed].any() and kept.seen.sum() == len(kept.rows)
        frame, _ = np.nonzero(kept.class_id.T)
        assert np.array_equal(np.sort(frame), play.events["frame"].sort_values())
    before = [path.stat().st_mtime_ns for path in sorted((tmp_path / "tubes").iterdir())]
    film_tubes(job, tmp_path / "tubes", 38)
    assert before == [path.stat().st_mtime_ns for path in sorted((tmp_path / "tubes").iterdir())]
