"""Training clips for TAAD and for TAAD+GNN: video, boxes, labels and the players' state, one epoch at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import Dataset

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.frames import FrameSource
from footpass_lib.data.half import TacticalHalf
from footpass_lib.samples import pixels
from footpass_lib.samples.augment import Motion, draw_motion, margin, move, normalise_coloured
from footpass_lib.samples.sampling import ANYONE, ClipSettings, draw_epoch
from footpass_lib.schema import FootpassError, game_of, mirror_signs, mirror_slots

_CROP_JITTER = 0.15  # a crop's centre is off its player's by up to this share of its height and width
_GREY = 115  # nearest to the mean that the network's input is centred on


@dataclass(frozen=True, eq=False)
class ClipWindow:
    """The part of a half that a clip needs, all slots over T frames, as in :class:`TacticalHalf`; read-only."""

    game: int
    start: int  # first frame
    anchor: int  # index of the anchor frame in the clip
    slot: int  # the central player's
    box: np.ndarray  # float32 (26, T, 4)
    labels: np.ndarray  # uint8 (26, T), dilated
    position: np.ndarray  # float32 (26, T, 2), and so is the velocity
    velocity: np.ndarray
    observed: np.ndarray  # bool (26, T)
    jersey: np.ndarray  # int16 (26, T)


class TAADClips(Dataset):
    """The clips of one epoch, a map-style data set: clip ``i`` is a function of (seed, epoch, i) alone.

    Tracking is read here, half by half, and each clip keeps its own short part (about 50 kB); the video is read when a
    clip is asked for, by default from its file; another ``source`` may keep frames. FootpassError if files are missing
    or bad, a half is shorter than a clip, the crop is larger than the picture, or the split has no event to draw.

    A clip is a dictionary (M players: the central one, then others; or all 26 slots):

    - ``video`` (3, T, H, W) float32, (v / 255 - .45) / .225
    - ``boxes`` (M, T, 4) float32, x0, y0, x1, y1 in pixels of that video
    - ``mask`` (M, T) float32, 1 where the player has a box of 2 pixels or more, centred inside the video
    - ``labels`` (M, T) int64 class ids
    - ``slots`` (M,) int64, -1 in a row without a player
    - ``position``, ``velocity`` (M, T, 2) float32 as in the tactical file, 0 where not observed
    - ``observed`` (M, T) float32
    - ``jersey`` (M, T) float32, -1 where a slot is never used

    A mirrored clip has mirrored positions and velocities, and its players are in the slots that the X mirror puts
    them in: who played on the left now plays on the right, and left backs are right backs.
    """

    def __init__(
        self,
        root: DataRoot,
        split: str,
        settings: ClipSettings,
        seed: int,
        epoch: int,
        source: FrameSource | None = None,
    ) -> None:
        self.settings, self.seed, self.epoch = settings, seed, epoch
        self.source = source or FrameSource(root)
        rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(epoch,)))
        drawn = draw_epoch(root.index(split), settings, rng, root.table_path(split))
        windows: dict[int, ClipWindow] = {}
        for name, clips in drawn.groupby("half", sort=True):
            windows |= zip(clips.index, _windows(root.half(name), clips, settings, rng), strict=True)
        self.windows = [windows[i] for i in range(len(drawn))]
        games = sorted({window.game for window in self.windows})
        self.source.prepare(games)
        for game in games:
            self._check_video(game)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        window, settings = self.windows[i], self.settings
        rng = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(self.epoch, i)))
        factor = settings.enlargement + settings.enlargement_jitter * rng.uniform(-1, 1)
        picture = self.source.size(window.game)
        boxes = pixels.to_video(pixels.enlarge(window.box, factor), *picture)  # (26, T, 4)
        top, left, height, width = self._view(boxes[window.slot, window.anchor], picture, rng)
        motion = None if settings.augmentation is None else draw_motion(settings.augmentation, height, width, rng)
        edge = 0 if motion is None or settings.crop is None else margin(settings.augmentation, height, width)
        frames = self._cut(window, top - edge, left - edge, height + 2 * edge, width + 2 * edge)
        corners = torch.from_numpy(boxes - np.float32([left - edge, top - edge] * 2))
        if motion is None:
            video = pixels.normalise(frames)
        else:
            shown, corners = move(normalise_coloured(frames, motion), corners, motion)
            inner = shown[..., edge : edge + height, edge : edge + width]
            video, corners = inner.movedim(0, 1), corners - edge
        boxes, mask = _inside(corners.numpy(), height, width)
        return {"video": video.contiguous()} | self._players(window, boxes, mask, motion, rng)

    def _check_video(self, game: int) -> None:
        picture, length = self.source.size(game), self.source.length(game)
        path, crop = self.source.root.video(game), self.settings.crop
        if crop is not None and (crop[0] > picture[0] or crop[1] > picture[1]):
            raise FootpassError(f"{path}: the picture is {picture} high and wide; expected one that holds crops {crop}")
        needed = max(w.start for w in self.windows if w.game == game) + self.settings.frames
        if needed > length:
            raise FootpassError(f"{path}: has {length} frames; expected {needed}, to which the tactical file goes")
        for window in self.windows:
            if window.game == game:
                self.source.require(game, window.start, window.start + self.settings.frames)

    def _view(self, box: np.ndarray, picture: tuple[int, int], rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Top, left, height and width of the part of the picture that the clip shows."""
        if self.settings.crop is None:
            return 0, 0, *picture
        size = np.array(self.settings.crop)
        middle = np.array(picture) / 2 if np.isnan(box).any() else (box[[1, 0]] + box[[3, 2]]) / 2
        centre = middle + _CROP_JITTER * size * rng.uniform(-1, 1, 2)
        top, left = np.rint(centre - size / 2).astype(int).clip(0, np.array(picture) - size)
        return int(top), int(left), *self.settings.crop

    def _cut(self, window: ClipWindow, top: int, left: int, height: int, width: int) -> Tensor:
        """Part of the picture over the clip, uint8 (T, height, width, 3); grey where it leaves the picture."""
        picture_height, picture_width = self.source.size(window.game)
        bottom, right = min(top + height, picture_height), min(left + width, picture_width)
        part = (max(top, 0), max(left, 0), bottom, right)
        seen = self.source.read(window.game, window.start, window.start + self.settings.frames, part)
        if seen.shape[1:3] == (height, width):
            return torch.from_numpy(seen)
        frames = np.full((len(seen), height, width, 3), _GREY, np.uint8)
        frames[:, part[0] - top : bottom - top, part[1] - left : right - left] = seen
        return torch.from_numpy(frames)

    def _players(
        self, window: ClipWindow, boxes: np.ndarray, mask: np.ndarray, motion: Motion | None, rng: np.random.Generator
    ) -> dict[str, Tensor]:
        """What the clip says of its players, from all slots' boxes (26, T, 4) and masks (26, T)."""
        mirror = "x" if motion is not None and motion.flip else "none"
        moved_to = mirror_slots(mirror)
        if self.settings.n_negatives is None:
            rows = moved_to  # its own inverse: row s takes the slot whose player is in s after the mirror
        else:
            others = np.flatnonzero(mask[:, window.anchor] & (np.arange(len(mask)) != window.slot))
            rows = np.concatenate([[window.slot], rng.permutation(others)[: self.settings.n_negatives]])
        position, velocity = window.position[rows], window.velocity[rows] * np.float32(mirror_signs(mirror))
        if mirror == "x":
            position = np.stack([1 - position[..., 0], position[..., 1]], axis=-1)
        observed = window.observed[rows]
        corners, seen = pixels.masked_boxes(boxes[rows], mask[rows])
        players = {
            "boxes": corners,
            "mask": seen,
            "labels": torch.from_numpy(window.labels[rows].astype(np.int64)),
            "slots": torch.from_numpy(moved_to[rows].astype(np.int64)),
            "position": torch.from_numpy(np.where(observed[..., None], position, np.float32(0))),
            "velocity": torch.from_numpy(np.where(observed[..., None], velocity, np.float32(0))),
            "observed": torch.from_numpy(observed.astype(np.float32)),
            "jersey": torch.from_numpy(window.jersey[rows].astype(np.float32)),
        }
        missing = 0 if self.settings.n_negatives is None else 1 + self.settings.n_negatives - len(rows)
        return {name: _padded(value, missing, name) for name, value in players.items()}


def _windows(
    half: TacticalHalf, clips: pd.DataFrame, settings: ClipSettings, rng: np.random.Generator
) -> list[ClipWindow]:
    """The parts of a half that some clips need."""
    box = pixels.player_boxes(half, settings.fill_gaps)
    seen = ~np.isnan(box).any(axis=2)
    labels = pixels.dilate(half.class_id, settings.dilation, half.jersey)
    windows = []
    for frame, slot, event, start in clips[["frame", "slot", "event", "start"]].itertuples(index=False):
        anchor, first = frame - half.first_frame, start - half.first_frame
        if not event:
            slot, moved = _background_centre(seen, slot, anchor, rng)
            first = min(max(0, first + moved - anchor), half.n_frames - settings.frames)
            anchor = moved
        arrays = (box, labels, half.position, half.velocity, half.observed, half.jersey)
        cuts = [array[:, first : first + settings.frames].copy() for array in arrays]
        windows.append(ClipWindow(game_of(half.half), first + half.first_frame, anchor - first, slot, *cuts))
    return windows


def _background_centre(seen: np.ndarray, actor: int, frame: int, rng: np.random.Generator) -> tuple[int, int]:
    """Central player and frame of a background clip: somebody visible who is not the actor, or else the actor.

    Where nobody is visible, as in replays, the nearest frame with somebody is taken.
    """
    others = np.flatnonzero(seen[:, frame])
    others = others[others != actor]
    if actor == ANYONE and not len(others):
        filled = np.flatnonzero(seen.any(axis=0))
        if not len(filled):
            return 0, frame
        frame = int(filled[np.abs(filled - frame).argmin()])
        others = np.flatnonzero(seen[:, frame])
    return (int(rng.choice(others)) if len(others) else actor), frame


def _inside(corners: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes (26, T, 4) clipped to the clip, and which of them count: centred inside it and large enough."""
    centre = (corners[..., :2] + corners[..., 2:]) / 2
    clipped = corners.clip(0, np.tile(np.float32([width, height]), 2))
    inside = ((centre >= 0) & (centre <= (width, height))).all(axis=-1)
    return clipped, inside & pixels.large_enough(clipped)


def _padded(value: Tensor, missing: int, name: str) -> Tensor:
    """Append rows without a player, so that clips of a batch have the same number of them."""
    filler = value.new_tensor({"boxes": pixels.DUMMY_BOX, "slots": -1, "jersey": -1}.get(name, 0))
    return torch.cat([value, filler.expand(missing, *value.shape[1:])]) if missing else value
