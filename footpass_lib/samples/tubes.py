"""Tubes for the detector: where they are cut, and the training clips of an epoch, half of them hard negatives.

A detector of whole pictures sees few players a second of training; one of tubes sees one player at a time, and the same
pixels in training as in inference. Negatives are drawn by how sure the detector is of an event where there is none.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d
from torch import Tensor
from torch.utils.data import Dataset

from footpass_lib.data.half import TacticalHalf
from footpass_lib.data.tubes import TubeHalf
from footpass_lib.samples import pixels
from footpass_lib.schema import N_CLASSES, FootpassError

_SMOOTH = 3.0  # frames; standard deviation of the filter over a box's centre
JITTER = 3  # pixels by which training moves a tube, at most; kept tubes are wider by twice as much
DILATION = 2  # an event's label lasts so many frames longer on both sides
_FLIP = 0.5  # probability of a mirror image
_LIGHT = 0.2  # brightness and contrast are changed by up to this share
_GREY = 115  # nearest to the mean that the network's input is centred on

Judge = Callable[[Dataset], np.ndarray]  # how sure (N,) a detector is of an event in each clip, from 0 to 1


@dataclass(frozen=True)
class TubeSettings:
    """What a training clip of a tube is, and which clips an epoch has; FootpassError if values do not fit together."""

    frames: int = 32  # length T of a clip
    side: int = 32  # pixels of the tube's height and width
    margin: int = 6  # frames at both ends whose logits do not count: they lack context
    event_offset: tuple[int, int] = (10, 21)  # the event's index in the clip, both ends included
    events: int = 1000  # clips of an epoch with an event, classes drawn by the square root of their counts
    negatives: int = 1000  # and without
    pool: int = 3  # so many times the negatives are looked at, and drawn by how sure the detector is of an event

    def __post_init__(self) -> None:
        low, high = self.event_offset
        if not self.margin <= low <= high < self.frames - self.margin:
            raise FootpassError(f"tubes: event_offset={self.event_offset}, margin={self.margin} of {self.frames}")
        if self.events < 1 or self.negatives < 0 or self.pool < 1 or self.side < 4:
            raise FootpassError(f"tubes: {self}: expected events and pool of 1 or more, a side of 4 or more")

    @property
    def n_clips(self) -> int:
        """Clips of an epoch."""
        return self.events + self.negatives

    @property
    def kept(self) -> int:
        """Height and width of the tubes that are kept for training, pixels."""
        return self.side + 2 * JITTER


def tube_corners(boxes: np.ndarray, side: int) -> np.ndarray:
    """Top left corners (26, T, 2), x and y, int, of tubes around boxes (26, T, 4) in pixels of the video.

    The box's centre is interpolated where there is none, and smoothed in time. May lie outside the picture.
    """
    n_frames = boxes.shape[1]
    at, corners = np.arange(n_frames), np.zeros((*boxes.shape[:2], 2), np.int64)
    for slot, own in enumerate(boxes):
        seen = np.flatnonzero(~np.isnan(own[:, 0]))
        if len(seen):
            centre = (own[seen, :2] + own[seen, 2:]) / 2
            track = np.stack([np.interp(at, seen, centre[:, axis]) for axis in (0, 1)], axis=1)
            corners[slot] = np.floor(gaussian_filter1d(track, _SMOOTH, axis=0, mode="nearest") - side / 2 + 0.5)
    return corners


def cut_tubes(frames: np.ndarray, index: np.ndarray, corners: np.ndarray, side: int) -> np.ndarray:
    """Squares (N, side, side, 3) of frames (B, H, W, 3): of frame ``index`` (N,), at ``corners`` (N, 2), x and y.

    Grey where they leave the picture.
    """
    height, width = frames.shape[1:3]
    padded = np.pad(frames, ((0, 0), (side, side), (side, side), (0, 0)), constant_values=_GREY)
    left = np.clip(corners[:, 0] + side, 0, width + side)
    top = np.clip(corners[:, 1] + side, 0, height + side)
    reach = np.arange(side)
    return padded[index[:, None, None], (top[:, None] + reach)[:, :, None], (left[:, None] + reach)[:, None]]


def grey_clips(shape: tuple[int, ...]) -> np.ndarray:
    """Pixels uint8 of what nobody is seen in: a clip has them in the frames in which its player has no box."""
    return np.full(shape, _GREY, np.uint8)


@dataclass(frozen=True)
class TubePlaces:
    """Where the tubes of a half are cut, in pixels of the video."""

    seen: np.ndarray  # (26, T) bool: the player has a box that is large enough
    boxes: np.ndarray  # (26, T, 4) float32 x0, y0, x1, y1, enlarged
    corners: np.ndarray  # (26, T, 2) top left corners of the tubes
    side: int

    def cut(self, frames: np.ndarray, first: int) -> np.ndarray:
        """Tubes (n, side, side, 3) of everybody seen in frames (B, H, W, 3) from index ``first`` on, frame by frame."""
        index, slot = np.nonzero(self.seen[:, first : first + len(frames)].T)
        return cut_tubes(frames, index, self.corners[slot, first + index], self.side)

    def boxes_within(self) -> np.ndarray:
        """Boxes (26, T, 4) in pixels of the tubes."""
        return self.boxes - np.tile(self.corners, 2).astype(np.float32)


def tube_places(half: TacticalHalf, size: tuple[int, int], side: int) -> TubePlaces:
    """Where tubes of a half are cut from a video of ``size`` (height, width); gaps in boxes are filled as in clips."""
    boxes = pixels.to_video(pixels.enlarge(pixels.player_boxes(half, fill_gaps=True)), *size)
    return TubePlaces(pixels.large_enough(boxes), boxes, tube_corners(boxes, side), side)


class TubeClips(Dataset):
    """The clips of one epoch from kept tubes; clip ``i`` is a function of (seed, epoch, i) and the judge's answers.

    A clip is a dictionary with, for its one player, ``video`` (3, T, side, side) float32, ``boxes`` (1, T, 4),
    ``mask`` (1, T) and ``labels`` (1, T) as in ``TAADClips``, and ``counts`` (1, T): 1 in the frames that are learned.
    Without a ``judge`` negatives are drawn evenly. ``augment`` False: no jitter, mirror or light. FootpassError if no
    half has an event to draw.
    """

    def __init__(
        self, halves: Sequence[TubeHalf], settings: TubeSettings, seed: int, epoch: int,
        judge: Judge | None = None, augment: bool = True,
    ) -> None:  # fmt: skip
        self.halves, self.settings, self.augment = list(halves), settings, augment
        self.seed, self.epoch = seed, epoch
        if not self.halves:
            raise FootpassError("tubes: there is no half, and so no event to draw")
        rng = np.random.default_rng([seed, epoch])
        places = _places(self.halves, settings)
        self.clips = self._draw_events(places["events"], rng)  # (n, 3) half, slot, first frame
        if settings.negatives:
            pool = settings.negatives * (settings.pool if judge else 1)
            self.clips = np.concatenate([self.clips, self._draw_negatives(places["quiet"], pool, judge, rng)])

    def __len__(self) -> int:
        return len(self.clips)

    def _draw_events(self, events: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Clips (n, 3) around events (E, 4) of half, slot, frame and class."""
        if not len(events):
            raise FootpassError(f"{self.halves[0].path.parent}: no event whose actor has a box; expected some to draw")
        counts = np.bincount(events[:, 3], minlength=N_CLASSES)
        odds = np.sqrt(counts) / np.maximum(counts, 1)
        chosen = rng.choice(len(events), self.settings.events, p=odds[events[:, 3]] / odds[events[:, 3]].sum())
        low, high = self.settings.event_offset
        return self._starting(events[chosen, :3], rng.integers(low, high, len(chosen), endpoint=True))

    def _draw_negatives(
        self, quiet: list[np.ndarray], pool: int, judge: Judge | None, rng: np.random.Generator
    ) -> np.ndarray:
        """Clips (n, 3) in whose middle the player has no event, from flat places (slot * T + frame) a half."""
        ends = np.cumsum([len(places) for places in quiet])
        drawn = rng.integers(0, ends[-1], pool)
        half = np.searchsorted(ends, drawn, side="right")
        within = drawn - np.append(0, ends)[half]
        place = np.array([quiet[h][w] for h, w in zip(half, within, strict=True)])
        length = np.array([h.n_frames for h in self.halves])[half]
        found = np.stack([half, place // length, place % length], axis=1)
        clips = self._starting(found, np.full(pool, self.settings.frames // 2))
        if judge is None:
            return clips
        sure = judge(_Listed(self, clips)) + 0.01
        chosen = rng.choice(pool, self.settings.negatives, replace=False, p=sure / sure.sum())
        return clips[np.sort(chosen)]

    def _starting(self, places: np.ndarray, offset: np.ndarray) -> np.ndarray:
        last = np.array([half.n_frames for half in self.halves])[places[:, 0]] - self.settings.frames
        return np.column_stack([places[:, :2], np.clip(places[:, 2] - offset, 0, last)])

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        if not 0 <= i < len(self):
            raise IndexError(f"clip {i} of {len(self)}")
        rng = np.random.default_rng([self.seed, self.epoch, i]) if self.augment else None
        return self.clip(*self.clips[i], rng)

    def clip(self, number: int, slot: int, start: int, rng: np.random.Generator | None) -> dict[str, Tensor]:
        """The clip of a slot of half ``number`` from frame ``start`` on; changed at random where there is a ``rng``."""
        half, settings, span = self.halves[number], self.settings, slice(start, start + self.settings.frames)
        row = half.row_of[slot, span]
        seen, side, spare = row >= 0, settings.side, JITTER
        move = np.array([spare, spare]) if rng is None else rng.integers(0, 2 * spare, 2, endpoint=True)
        video = grey_clips((settings.frames, side, side, 3))
        video[seen] = half.rows[row[seen]][:, move[1] : move[1] + side, move[0] : move[0] + side]
        boxes = np.zeros((settings.frames, 4), np.float32)
        boxes[seen] = half.boxes[row[seen]] - np.tile(move, 2)
        boxes = boxes.clip(0, side)
        seen = seen & pixels.large_enough(boxes)
        shown = pixels.normalise(torch.from_numpy(video))
        if rng is not None:
            if rng.random() < _FLIP:
                shown, boxes = shown.flip(-1), boxes[:, [2, 1, 0, 3]] * [-1, 1, -1, 1] + [side, 0, side, 0]
            bright, contrast = 1 + _LIGHT * rng.uniform(-1, 1, 2)
            shown = shown * float(contrast) + float(bright - 1)
        corners, mask = pixels.masked_boxes(boxes[None].astype(np.float32), seen[None])
        low = max(0, start - DILATION)
        around = slice(slot, slot + 1), slice(low, span.stop + DILATION)
        holder = None if half.holder is None else half.holder[around]
        labels = pixels.dilate(half.class_id[around], DILATION, holder)
        counts = mask.clone()
        counts[:, : settings.margin] = counts[:, settings.frames - settings.margin :] = 0
        labels = torch.from_numpy(labels[:, start - low :][:, : settings.frames].astype(np.int64))
        return {"video": shown, "boxes": corners, "mask": mask, "labels": labels, "counts": counts}


class _Listed(Dataset):
    """Clips that an epoch may take, as they are."""

    def __init__(self, epoch: TubeClips, clips: np.ndarray) -> None:
        self.epoch, self.clips = epoch, clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, i: int) -> dict[str, Tensor]:
        return self.epoch.clip(*self.clips[i], None)


def _places(halves: Sequence[TubeHalf], settings: TubeSettings) -> dict:
    """Events (E, 4) of half, slot, frame and class, and quiet places (flat, slot * T + frame) of each half.

    Both have a box; around a quiet place a whole clip was filmed, and its middle holds no event of that player.
    """
    events, quiet = [], []
    for number, half in enumerate(halves):
        slot, frame = np.nonzero((half.class_id > 0) & half.seen)
        events.append(np.stack([np.full(len(slot), number), slot, frame, half.class_id[slot, frame]], axis=1))
        before, after = settings.frames // 2, settings.frames - settings.frames // 2
        filmed = np.append(0, np.cumsum(half.filmed))
        whole = np.zeros(half.n_frames, bool)
        whole[before : half.n_frames - after + 1] = filmed[settings.frames :] - filmed[: -settings.frames] == (
            settings.frames
        )
        near = pixels.dilate(half.class_id, settings.frames // 2 - settings.margin + DILATION) > 0
        quiet.append(np.flatnonzero(half.seen & whole & ~near))
    return {"events": np.concatenate(events), "quiet": quiet}
