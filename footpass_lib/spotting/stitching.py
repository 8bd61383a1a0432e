"""The sequence model over one half: overlapping windows, each decoded, stitched to one list of events.

Near a window's border the model sees half the context. So windows overlap, and every event is taken from the window
in whose inside it lies deepest. The baseline's decoding, windows one after the other, is a preset for comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from torch.utils.data import Dataset

from footpass_lib.data.half import TacticalHalf
from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events
from footpass_lib.files import off
from footpass_lib.models.dst import DST
from footpass_lib.samples.tokens import ACTION, FRAME, ROLE, DSTHalf
from footpass_lib.samples.windows import ListedWindows, collate_windows
from footpass_lib.schema import TOLERANCE, FootpassError
from footpass_lib.spotting.decoding import Decoded, greedy_decode
from footpass_lib.spotting.detector import window_starts
from footpass_lib.spotting.peaks import slot_events

SCORES = ("action", "joint")


@dataclass(frozen=True)
class DecodeSettings:
    """How a half is decoded: by default our way, and by :meth:`paper` the baseline's. FootpassError if out of range.

    The score is the softmax of the ``action``, or ``joint``, the product of the probabilities of action, role and all
    frames within ``TOLERANCE``: the model's own estimate that the event will be counted as right, so that the
    evaluation's threshold keeps its meaning. (A frame head is rarely sure of the very frame.)
    """

    stride: int | None = 375  # frames between starts of windows, at most a window; None is one after the other
    score: str = "joint"
    nms: int | None = TOLERANCE  # frames within which events of one player and class, of two windows, are one
    keep_unended: bool = True  # the events of a window that does not come to its EOS within max_tokens count
    batch: int = 32  # windows decoded at once; changes no result but for rounding
    official_export: bool = off(False)  # every event one frame late, as in the official file

    def __post_init__(self) -> None:
        stride = 1 if self.stride is None else self.stride
        if stride < 1 or self.batch < 1 or (self.nms is not None and self.nms < 0):
            values = f"stride={self.stride}, batch={self.batch}, nms={self.nms}"
            raise FootpassError(f"decoding: {values}; expected 1 or more, and nms 0 or more or None")
        if self.score not in SCORES:
            raise FootpassError(f"decoding: score={self.score!r}, expected one of {', '.join(SCORES)}")

    @classmethod
    def paper(cls) -> Self:
        """Section 6 of the FOOTPASS baseline, as in the official code but for its late export.

        That adds a window's first frame to a frame number that counts from 1: a defect of writing the file (.4926 of
        Macro F1 for the official one, .4976 with all frames one earlier), not a way of decoding. To have it, too:
        ``replace(DecodeSettings.paper(), official_export=True)``.
        """
        return cls(stride=None, score="action", nms=None, keep_unended=False)


def zones(starts: Sequence[int], window: int, n_frames: int) -> np.ndarray:
    """Which indices of a half each window decides, (N, 2): those farther from its borders than from any other's.

    The first index, and the one after the last, for windows that cover the half from ascending ``starts`` on; the ends
    of the half are no border. Of two windows in which an index is as deep, the later one has it.
    """
    starts = np.asarray(starts)
    lines = (starts[:-1] + window + starts[1:]) // 2  # middle of what neighbours share
    return np.stack([np.append(0, lines), np.append(lines, n_frames)], axis=1)


def decode_half(model: DST, half: DSTHalf, tactical: TacticalHalf, settings: DecodeSettings) -> Events:
    """Events of a half by frame, then slot, with absolute frames. Slots that nobody ever holds give no event.

    What the model sees of a half, and who holds which slot when: FootpassError if these are not of the same half, or
    the stride is longer than the model's window.
    """
    window, frames = model.settings.windows.window, range(half.first_frame, half.first_frame + half.n_frames)
    if (half.half, frames) != (tactical.half, tactical.frames):
        found = f"found those of {tactical.half}, frames {tactical.frames[0]} to {tactical.frames[-1]}"
        raise FootpassError(f"{half.half}, frames {frames[0]} to {frames[-1]}: expected its own players, {found}")
    if settings.stride is None:
        starts = list(range(0, half.n_frames, window))
    elif settings.stride > window:
        raise FootpassError(f"{half.half}: decoding: stride={settings.stride}, expected at most a window, {window}")
    else:
        starts = window_starts(half.n_frames, window, settings.stride)
    limits = zones(starts, window, half.n_frames)
    windows = ListedWindows(half, starts, model.settings.windows)
    _, index, slot, class_id, score = decode_windows(model, windows, starts, limits, settings)
    order = np.lexsort((slot, index))
    order = order[tactical.jersey[slot, index][order] >= 0]
    events = slot_events(tactical, index[order], slot[order], class_id[order], score[order])
    events = events if settings.nms is None else nms(events, settings.nms)
    late = int(settings.official_export)  # of a player who is looked up at the right frame
    return events.with_table(events.table.assign(frame=events.table["frame"] + late)) if late else events


def decode_windows(
    model: DST, windows: Dataset, starts: Sequence[int], limits: np.ndarray, settings: DecodeSettings
) -> tuple[np.ndarray, ...]:
    """Window, index, slot, class and score of the events that windows find within their limits, (E,) each."""
    device, found = next(model.parameters()).device, []
    for first in range(0, len(starts), settings.batch):
        numbers = np.arange(first, min(first + settings.batch, len(starts)))
        batch = collate_windows([windows[i] for i in numbers])
        decoded = greedy_decode(model, batch.features.to(device), batch.n_frames.to(device), tolerance=TOLERANCE)
        window, *columns = _events_within(decoded, np.asarray(starts)[numbers], limits[numbers], settings)
        found.append((numbers[window], *columns))
    return tuple(np.concatenate(columns) for columns in zip(*found, strict=True))


def _events_within(
    decoded: Decoded, starts: np.ndarray, limits: np.ndarray, settings: DecodeSettings
) -> tuple[np.ndarray, ...]:
    kept = decoded.is_event if settings.keep_unended else decoded.is_event & decoded.ended[:, None]
    window, place = (array.cpu().numpy() for array in kept.nonzero(as_tuple=True))
    tokens = decoded.tokens.cpu().numpy()[window, place]  # (E, 3)
    probabilities = decoded.probabilities.cpu().numpy().astype(np.float64)[window, place]
    score = (probabilities.prod(axis=1) if settings.score == "joint" else probabilities[:, ACTION]).clip(0, 1)
    index = starts[window] + tokens[:, FRAME] - 1
    inside = (index >= limits[window, 0]) & (index < limits[window, 1])
    return window[inside], index[inside], tokens[inside, ROLE], tokens[inside, ACTION] + 1, score[inside]
