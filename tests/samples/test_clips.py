"""Training clips: what is drawn, boxes and labels against slow references, pixels under the boxes, repeatability."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from footpass_lib.data.boxes import fill_box_gaps
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.encode import VideoWriter
from footpass_lib.data.frames import FrameSource
from footpass_lib.data.tactical import write_tactical
from footpass_lib.samples import pixels
from footpass_lib.samples.clips import TAADClips
from footpass_lib.samples.sampling import ClipSettings, draw_epoch
from footpass_lib.schema import CLASS_ID, COLUMN, N_SLOTS, TACTICAL_COLUMNS, FootpassError, mirror_slots, slot_of

pytestmark = pytest.mark.usefixtures("one_thread")

HEIGHT, WIDTH = 96, 160  # 11.25 and 12 pixels of the 1920x1080 picture each
HALVES = {"game_7_H1": range(0, 90), "game_7_H2": range(100, 190)}
ROLES = (1, 3, 5, 8, 10, 12)  # of either team
COLOURS = np.array([[r, g, b] for r in (40, 130, 220) for g in (60, 200) for b in (60, 200)], np.uint8)
GREY = 128


def box_of(player: int, frame: int) -> tuple[float, float, float, float]:
    """A player's box, 9 video pixels wide and 12 high, on an orbit that meets no other player's."""
    x = 130 + 290 * (player % 6) + 40 * np.sin(frame / 15 + player)
    y = 180 + 480 * (player // 6) + 60 * np.cos(frame / 11 + player)
    return float(x), float(y), 108.0, 135.0


def event_class(player: int, frame: int) -> int:
    """Drives and passes of everybody, and one tackle."""
    if (player, frame) in ((4, 45), (4, 145)):
        return CLASS_ID["tackle"]
    return (CLASS_ID["drive"] if player < 6 else CLASS_ID["pass"]) if frame % 30 == 2 * player else 0


def rows_of(frames: range) -> np.ndarray:
    rows = []
    for frame in frames:
        for player in range(12):
            team, role = player // 6, ROLES[player % 6]
            box = box_of(player, frame) if (frame + 7 * player) % 40 > 2 else (np.nan,) * 4
            state = (0.1 * (player % 6) + 0.001 * frame, 0.2 + 0.4 * team, 0.5 + player, -0.25)
            rows.append((frame, 100 + player, team, 2 + player, role, *state, *box, event_class(player, frame)))
    return np.array(rows, np.float32)


def picture_of(frame: int) -> np.ndarray:
    picture = np.full((HEIGHT, WIDTH, 3), GREY, np.uint8)
    for player in range(12):
        x, y, w, h = box_of(player, frame)
        picture[round(y / 11.25) : round((y + h) / 11.25), round(x / 12) : round((x + w) / 12)] = COLOURS[player]
    return picture


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("root")
    write_tactical(path / "data" / "train_tactical_data.h5", {half: rows_of(f) for half, f in HALVES.items()})
    with VideoWriter(path / "videos" / "game_7.mp4", HEIGHT, WIDTH, crf=0, gop=12) as writer:
        writer.write(np.stack([picture_of(frame) for frame in range(195)]))
    return path


PLAIN = ClipSettings(frames=20, event_offset=(6, 12), enlargement_jitter=0.0, augmentation=None, per_class=9)


def equal(one: dict, two: dict) -> bool:
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def colour_under(clip: dict, player: int, t: int) -> np.ndarray:
    """Mean colour, 0..255, of what the enlargement did not add to a box, less a pixel: 10 to 80 % of its sides."""
    low, high = clip["boxes"][player, t].split(2)
    left, top = (low + 0.10 * (high - low)).ceil().int().tolist()
    right, bottom = (low + 0.80 * (high - low)).int().tolist()
    return ((clip["video"][:, t, top:bottom, left:right] * 0.225 + 0.45) * 255).mean(dim=(1, 2)).numpy()


def player_in(slot: int) -> int:
    return next(p for p in range(12) if slot_of(p // 6, ROLES[p % 6]) == slot)


def test_defaults_are_the_official_detector():
    settings = ClipSettings()
    assert (settings.frames, settings.crop, settings.event_offset) == (50, None, (15, 35))
    assert (settings.n_negatives, settings.dilation, settings.per_class) == (4, 1, 500)
    assert (settings.enlargement, settings.enlargement_jitter, settings.fill_gaps) == (1.125, 0.125, False)
    augmentation = settings.augmentation
    assert (augmentation.translation, augmentation.rotation, augmentation.scale) == (0.1, 1.5, 0.1)


def test_enlargement_is_the_official_rule_in_plain_python():
    rng = np.random.default_rng(0)
    box = np.concatenate([rng.uniform(-50, 1900, (200, 2)), rng.uniform(0, 200, (200, 2))], axis=1)
    for k in (1.0, 1.0625, 1.125, 1.25):
        for (x, y, w, h), found in zip(box.tolist(), pixels.enlarge(box, k), strict=True):
            corners = [x - (k - 1) * w // 2, y - (k - 1) * h // 2, x + k * w, y + k * h]
            limits = [1920, 1080] * 2
            assert found.tolist() == [min(max(c, 0), limit) for c, limit in zip(corners, limits, strict=True)]
    assert np.isnan(pixels.enlarge(np.full((2, 4), np.nan, np.float32))).all()


def test_official_scale_and_small_boxes():
    box = np.array([[300.0, 540.0, 330.0, 1080.0], [300, 540, 305, 700], [np.nan] * 4], np.float32)
    scaled = pixels.to_video(box, 352, 640)
    np.testing.assert_allclose(scaled[0], [100, 176, 110, 352], rtol=1e-6)  # / 3 and / (1080 / 352)
    assert pixels.large_enough(scaled).tolist() == [True, False, False]


@pytest.mark.parametrize("by", [0, 1, 2])
def test_dilation_against_a_slow_reference(by: int):
    rng = np.random.default_rng(by)
    labels = np.where(rng.random((N_SLOTS, 40)) < 0.15, rng.integers(1, 9, (N_SLOTS, 40)), 0).astype(np.uint8)
    for slot in range(N_SLOTS):
        for t in range(40):
            near = [(abs(d), d > 0, labels[slot, t + d]) for d in range(-by, by + 1) if 0 <= t + d < 40]
            expected = next((c for *_, c in sorted(near) if c), 0)  # nearest first, the earlier of two
            assert pixels.dilate(labels, by)[slot, t] == expected


def test_balanced_epoch_takes_each_class_up_to_its_limit(folder: Path):
    index = DataRoot(folder).index("train")
    seen = index.events[index.events["visible"]]
    drawn = draw_epoch(index, PLAIN, np.random.default_rng(0), folder)
    merged = drawn.merge(index.events, on=["half", "frame", "slot"])
    assert len(merged) == len(drawn) and merged["visible"].all() and not merged.duplicated().any()
    counts = seen["class"].value_counts()
    assert merged["class"].value_counts().to_dict() == {c: min(n, 9) for c, n in counts.items()}
    assert counts[CLASS_ID["tackle"]] < 9 < counts[CLASS_ID["pass"]]


def test_classes_by_the_square_root_of_their_counts(folder: Path):
    index = DataRoot(folder).index("train")
    drawn = draw_epoch(index, replace(PLAIN, sqrt_total=3000), np.random.default_rng(0), folder)
    share = drawn.merge(index.events, on=["half", "frame", "slot"])["class"].value_counts(normalize=True)
    root = np.sqrt(index.events[index.events["visible"]]["class"].value_counts())
    assert len(drawn) == 3000
    np.testing.assert_allclose(share.sort_index(), (root / root.sum()).sort_index(), atol=0.03)


def test_starts_put_the_anchor_where_the_settings_say_and_stay_in_the_half(folder: Path):
    clips = TAADClips(DataRoot(folder), "train", replace(PLAIN, sqrt_total=300), 0, 1)
    free = set()
    for window in clips.windows:
        span = next(f for f in HALVES.values() if window.start in f)
        assert window.start + 20 - 1 in span
        if window.start not in (span[0], span[-1] - 19):  # at an end of the half the offset gives way
            free.add(window.anchor)
    assert free == set(range(6, 13))


def test_a_clip_agrees_with_the_table(folder: Path):
    """Boxes, masks, labels and state of every player row against the rows of the file."""
    root = DataRoot(folder)
    clips = TAADClips(root, "train", PLAIN, seed=3, epoch=1)
    for i in range(0, len(clips), 4):
        clip, window = clips[i], clips.windows[i]
        assert clip["slots"][0] == window.slot
        assert (clip["slots"][1:] != window.slot).all() and len(set(clip["slots"].tolist())) == 5
        assert (clip["mask"][:, window.anchor] == 1).all()
        for m, slot in enumerate(clip["slots"].tolist()):
            player = player_in(slot)
            for t in range(20):
                frame = window.start + t
                visible = (frame + 7 * player) % 40 > 2
                assert clip["mask"][m, t] == visible
                x, y, w, h = np.float32(box_of(player, frame))
                if visible:
                    corners = [x - 0.125 * w // 2, y - 0.125 * h // 2, x + 1.125 * w, y + 1.125 * h]
                    expected = np.array(corners) / [12, 11.25, 12, 11.25]
                    np.testing.assert_allclose(clip["boxes"][m, t], expected, atol=1e-4)
                near = [event_class(player, frame + d) for d in (0, -1, 1)]
                assert clip["labels"][m, t] == next((c for c in near if c), 0)
                np.testing.assert_allclose(clip["velocity"][m, t], [0.5 + player, -0.25])
                np.testing.assert_allclose(clip["position"][m, t, 0], 0.1 * (player % 6) + 0.001 * frame, rtol=1e-5)
        assert clip["labels"][0, window.anchor] > 0


@pytest.mark.parametrize("crop", [None, (32, 32), (64, 96)])
@pytest.mark.parametrize("augment", [False, True])
def test_players_are_where_their_boxes_say(folder: Path, crop: tuple[int, int] | None, augment: bool):
    settings = replace(PLAIN, crop=crop, augmentation=ClipSettings().augmentation if augment else None)
    if augment:  # the same geometry, and colours that can be told
        settings = replace(
            settings, augmentation=replace(settings.augmentation, brightness=0.0, contrast=0.0, saturation=0.0)
        )
    clips = TAADClips(DataRoot(folder), "train", settings, seed=1, epoch=2)
    checked = flipped = 0
    for i in range(0, len(clips), 2):
        clip, window = clips[i], clips.windows[i]
        assert clip["video"].shape == (3, 20, *(crop or (HEIGHT, WIDTH))) and clip["video"].dtype == torch.float32
        limits = torch.tensor([*clip["video"].shape[:1:-1]] * 2)
        assert (clip["boxes"] >= 0).all() and (clip["boxes"] <= limits).all()
        is_flipped = bool(clip["slots"][0] != window.slot)
        flipped += is_flipped
        for m, slot in enumerate(clip["slots"].tolist()):
            if slot < 0:
                assert not clip["mask"][m].any() and not clip["labels"][m].any()
                continue
            player = player_in(int(mirror_slots("x")[slot]) if is_flipped else slot)
            for t in clip["mask"][m].nonzero().flatten().tolist()[::3]:
                low, high = clip["boxes"][m, t].split(2)
                if (low > 2).all() and (high < limits[:2] - 2).all():
                    difference = np.abs(colour_under(clip, m, t) - COLOURS[player])
                    assert difference.max() < 16, (i, m, t)
                    checked += 1
    assert checked > 40
    assert (flipped > 0) == augment


def test_the_actor_is_inside_an_event_centred_crop(folder: Path):
    clips = TAADClips(DataRoot(folder), "train", replace(PLAIN, crop=(24, 32)), 0, 0)
    for clip, window in ((clips[i], clips.windows[i]) for i in range(len(clips))):
        assert clip["mask"][0, window.anchor] == 1
        middle = (clip["boxes"][0, window.anchor, :2] + clip["boxes"][0, window.anchor, 2:]) / 2
        assert (middle - torch.tensor([16.0, 12.0])).abs().max() < 9


def test_mirrored_clip_has_mirrored_state(folder: Path):
    root, everyone = DataRoot(folder), replace(PLAIN, n_negatives=None)
    still = replace(ClipSettings().augmentation, translation=0.0, rotation=0.0, scale=0.0, flip=1.0,
                    brightness=0.0, contrast=0.0, saturation=0.0)  # fmt: skip
    plain = TAADClips(root, "train", everyone, 5, 1)[0]
    flipped = TAADClips(root, "train", replace(everyone, augmentation=still), 5, 1)[0]
    torch.testing.assert_close(flipped["video"], plain["video"].flip(-1), atol=1e-4, rtol=0)
    perm = torch.as_tensor(mirror_slots("x"))
    assert plain["slots"].tolist() == flipped["slots"].tolist() == list(range(N_SLOTS))
    for name in ("mask", "labels", "observed"):
        assert torch.equal(flipped[name], plain[name][perm])
    seen = plain["observed"][perm] > 0
    mirrored = torch.stack([1 - plain["position"][..., 0], plain["position"][..., 1]], dim=-1)[perm]
    torch.testing.assert_close(flipped["position"][seen], mirrored[seen])
    torch.testing.assert_close(flipped["velocity"], plain["velocity"][perm] * torch.tensor([-1.0, 1.0]))
    visible = plain["mask"][perm] > 0
    corners = plain["boxes"][perm][visible]
    expected = torch.stack([WIDTH - corners[:, 2], corners[:, 1], WIDTH - corners[:, 0], corners[:, 3]], dim=1)
    torch.testing.assert_close(flipped["boxes"][visible], expected)


def test_background_clips_are_centred_on_others(folder: Path):
    root = DataRoot(folder)
    settings = replace(PLAIN, per_class=0, background=60, background_random=0.25)
    clips = TAADClips(root, "train", settings, 0, 1)
    assert len(clips) == 60
    events = set(root.index("train").events[["frame", "slot"]].itertuples(index=False, name=None))
    anchors = {frame for frame, _ in events}
    beside = sum(window.start + window.anchor in anchors for window in clips.windows)
    assert beside >= 45
    for window in clips.windows[:45]:
        assert (window.start + window.anchor, window.slot) not in events
    assert all(clips[i]["mask"][0, window.anchor] == 1 for i, window in list(enumerate(clips.windows))[::5])


def test_filling_gaps_gives_more_events_and_the_interpolated_boxes(folder: Path):
    root = DataRoot(folder)
    plain = TAADClips(root, "train", replace(PLAIN, per_class=500), 0, 0)
    filled = TAADClips(root, "train", replace(PLAIN, per_class=500, fill_gaps=True), 0, 0)
    events = root.index("train").events
    assert len(plain) == events["visible"].sum() < len(filled) == events["has_box"].sum()
    window = filled.windows[0]
    half = root.half("game_7_H1" if window.start < 90 else "game_7_H2")
    first = window.start - half.first_frame
    np.testing.assert_array_equal(window.box, fill_box_gaps(half.box)[:, first : first + 20])


def test_a_label_does_not_spread_to_another_player_in_the_slot(folder: Path, tmp_path: Path):
    rows = rows_of(HALVES["game_7_H1"])
    rows[:, COLUMN["class"]] = 0
    holder = slot_of(0, ROLES[2])  # jersey 4, whom a box shows in frames 40 to 60
    intruder = (50, 199, 0, 99, ROLES[2], 0.9, 0.9, 0, 0, *(np.nan,) * 4, CLASS_ID["header"])
    own = rows[(rows[:, COLUMN["frame"]] == 55) & (rows[:, COLUMN["shirt_number"]] == 4)][0]
    own[COLUMN["class"]] = CLASS_ID["shot"]
    write_tactical(tmp_path / "data" / "train_tactical_data.h5", {"game_7_H1": np.vstack([rows, own, intruder])})
    (tmp_path / "videos").symlink_to(folder / "videos")
    with pytest.warns(UserWarning, match=r"game_7_H1: 2 of 1,082 rows dropped: another row has their team"):
        clips = TAADClips(DataRoot(tmp_path), "train", replace(PLAIN, n_negatives=None, fill_gaps=True), 0, 0)
    assert len(clips) == 1  # the header is of nobody with a box
    window, clip = clips.windows[0], clips[0]
    seen = {window.start + t: label for t, label in enumerate(clip["labels"][holder].tolist()) if label}
    assert seen == {50: CLASS_ID["header"], 54: CLASS_ID["shot"], 55: CLASS_ID["shot"], 56: CLASS_ID["shot"]}
    mask = {window.start + t: seen for t, seen in enumerate(clip["mask"][holder].tolist())}
    jersey = {window.start + t: number for t, number in enumerate(clip["jersey"][holder].tolist())}
    assert [mask[f] for f in (49, 50, 51)] == [1, 0, 1] and [jersey[f] for f in (49, 50, 51)] == [4, 99, 4]


@pytest.mark.parametrize("crop", [None, (32, 32)])
def test_same_seed_and_epoch_give_the_same_clips_whatever_the_workers(folder: Path, crop: tuple[int, int] | None):
    settings = replace(PLAIN, crop=crop, per_class=3, background=3, augmentation=ClipSettings().augmentation)
    clips = TAADClips(DataRoot(folder), "train", settings, seed=1, epoch=4)
    again = TAADClips(DataRoot(folder), "train", settings, seed=1, epoch=4)
    order = [*range(len(again))][::-1]
    assert all(equal(clips[i], again[i]) for i in order)
    batches = [list(DataLoader(clips, batch_size=4, num_workers=n)) for n in (0, 2)]
    assert len(batches[0]) == -(-len(clips) // 4)
    assert all(equal(one, two) for one, two in zip(*batches, strict=True))
    for other in ((1, 5), (2, 4)):
        changed = TAADClips(DataRoot(folder), "train", settings, *other)
        assert not all(equal(clips[i], changed[i]) for i in range(3))


def test_a_decoded_copy_gives_the_same_clips_and_follows_the_video(folder: Path, tmp_path: Path):
    root = DataRoot(folder)
    settings = replace(PLAIN, crop=(32, 48), per_class=2, augmentation=ClipSettings().augmentation)
    source = FrameSource(root, tmp_path / "frames")
    cached = TAADClips(root, "train", settings, 0, 1, source)
    streamed = TAADClips(root, "train", settings, 0, 1)
    assert all(equal(cached[i], streamed[i]) for i in range(len(cached)))
    copy = pickle.loads(pickle.dumps(cached))
    assert equal(copy[1], cached[1]) and len(pickle.dumps(source)) < 50_000
    (path,) = (tmp_path / "frames").iterdir()
    kept = path.stat().st_mtime_ns
    FrameSource(root, tmp_path / "frames").prepare([7])
    assert path.stat().st_mtime_ns == kept
    with pytest.raises(FootpassError, match=r"game_7\.mp4: frames 190 to 195 .* has 195"):
        source.read(7, 190, 196)

    other = tmp_path / "root"
    with VideoWriter(other / "videos" / "game_7.mp4", HEIGHT, WIDTH) as writer:
        writer.write(np.stack([picture_of(frame) for frame in range(9)]))
    assert FrameSource(DataRoot(other), tmp_path / "frames").read(7, 0, 9).shape == (9, HEIGHT, WIDTH, 3)
    assert len(list((tmp_path / "frames").iterdir())) == 1 and not path.exists()


def test_data_root_finds_both_layouts_and_names_what_is_missing(folder: Path, tmp_path: Path):
    root = DataRoot(folder)
    assert root.halves("train") == ("game_7_H1", "game_7_H2")
    assert root.half("game_7_H2").first_frame == 100
    archive = tmp_path / "tactical_data_VAL" / "val_tactical_data.h5"
    archive.parent.mkdir()
    archive.write_bytes((folder / "data" / "train_tactical_data.h5").read_bytes())
    assert DataRoot(tmp_path).halves("val") == ("game_7_H1", "game_7_H2")
    assert DataRoot(tmp_path).half("game_7_H1").n_frames == 90
    with pytest.raises(FootpassError, match=r"has no tactical file of train; looked at .*data/train_tactical_data\.h5"):
        DataRoot(tmp_path).halves("train")
    with pytest.raises(FootpassError, match="unknown split 'training'"):
        root.halves("training")
    with pytest.raises(FootpassError, match="no split has game_8_H1; looked through train"):
        root.half("game_8_H1")
    with pytest.raises(FootpassError, match=r"game_8\.mp4.*video of match 8"):
        root.video(8)


def test_what_does_not_fit_is_refused(folder: Path, tmp_path: Path):
    root = DataRoot(folder)
    with pytest.raises(FootpassError, match="game_7_H1: has 90 frames; expected the 91"):
        TAADClips(root, "train", replace(PLAIN, frames=91), 0, 0)
    with pytest.raises(FootpassError, match=r"game_7\.mp4: the picture is \(96, 160\)"):
        TAADClips(root, "train", replace(PLAIN, crop=(97, 32)), 0, 0)
    for wrong in ({"event_offset": (5, 20)}, {"n_negatives": -1}, {"crop": (0, 5)}, {"enlargement_jitter": 2.0}):
        with pytest.raises(FootpassError, match=next(iter(wrong))):
            replace(PLAIN, **wrong)
    bare = np.delete(rows_of(range(40)), COLUMN["class"], axis=1)
    write_tactical(tmp_path / "data" / "challenge_tactical_data.h5", {"game_1_H1": bare})
    with pytest.raises(FootpassError, match="game_1_H1: the file has no class column"):
        TAADClips(DataRoot(tmp_path), "challenge", PLAIN, 0, 0)
    nobody = rows_of(range(40))
    nobody[:, TACTICAL_COLUMNS.index("roi_x")] = np.nan
    write_tactical(tmp_path / "data" / "val_tactical_data.h5", {"game_7_H1": nobody})
    with pytest.raises(FootpassError, match="no event whose actor has a box"):
        TAADClips(DataRoot(tmp_path), "val", PLAIN, 0, 0)
    with VideoWriter(tmp_path / "videos" / "game_7.mp4", HEIGHT, WIDTH) as writer:
        writer.write(np.stack([picture_of(frame) for frame in range(30)]))
    write_tactical(tmp_path / "data" / "train_tactical_data.h5", {"game_7_H1": rows_of(range(90))})
    with pytest.raises(FootpassError, match=r"game_7\.mp4: has 30 frames; expected \d+"):
        TAADClips(DataRoot(tmp_path), "train", PLAIN, 0, 0)
