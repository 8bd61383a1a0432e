"""Windows of a half for the sequence model: encoder tokens from game state and logits, decoder tokens from events.

Section 6 of the FOOTPASS baseline. Relative frames of a window run from 1: relative frame r of the window that starts
at index ``start`` of a half is index ``start + r - 1`` of its arrays, and ``first_frame + start + r - 1`` of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset

from footpass_lib.samples.tokens import (
    ACTION,
    EOS,
    FRAME,
    LOGITS_WIDTH,
    NEUTRAL,
    ROLE,
    SOS,
    STATE_WIDTH,
    DSTHalf,
    mirror_features,
    mirror_pooled,
    mirror_tokens,
    move_pooled,
    pool_inputs,
    pooled_width,
    slot_columns,
)
from footpass_lib.schema import MIRRORS, N_ROLES, N_SLOTS, FootpassError, mirror_slots

_SOS_TOKEN = (SOS, NEUTRAL, 0)


@dataclass(frozen=True)
class WindowSettings:
    """Shape of a window in frames; the defaults are the paper's, FootpassError if the values do not fit together.

    A window with more events than its ``max_tokens`` less the EOS is cut after so many, and has no EOS, since it does
    not end there.
    """

    window: int = 750
    frames_per_token: int = 1  # whose inputs an encoder token has, one after the other
    max_tokens: int = 25  # decoder tokens after SOS, with the EOS
    pooled: bool = False  # instead pooled player by player, see tokens.pool_inputs; a window then ends with a token

    def __post_init__(self) -> None:
        for name in ("window", "frames_per_token", "max_tokens"):
            if getattr(self, name) < 1:
                raise FootpassError(f"windows: {name}={getattr(self, name)}, expected 1 or more")
        if self.frames_per_token > self.window:
            raise FootpassError(f"windows: frames_per_token={self.frames_per_token}, expected at most {self.window}")
        if self.pooled and self.window % self.frames_per_token:
            wanted = f"expected a divisor of the window's {self.window} frames"
            raise FootpassError(f"windows: pooled with frames_per_token={self.frames_per_token}, {wanted}")

    @property
    def n_tokens(self) -> int:
        """Encoder tokens of a window."""
        return -(-self.window // self.frames_per_token)

    @property
    def n_frame_ids(self) -> int:
        """Width of the one-hot of a relative frame: 0 for SOS, the frames from 1, and one for an EOS after the last."""
        return self.window + 2

    def token_width(self, sources: int = 1) -> int:
        """Width of an encoder token, without its frame, with this many sources of logits."""
        width = STATE_WIDTH + sources * LOGITS_WIDTH
        return N_SLOTS * pooled_width(width) if self.pooled else self.frames_per_token * width


class Window(NamedTuple):
    """One window. Its tokens are SOS, the events by frame and slot, and EOS; SOS alone where events are unknown."""

    features: Tensor  # (n_tokens, token_width) float32, 0 after the half's end
    n_frames: int  # of the window that are in the half
    tokens: Tensor  # (1 + S, 3) int64: action, role and relative frame
    dropped: int  # events beyond max_tokens


class WindowBatch(NamedTuple):
    """Windows of a batch, targets padded to the longest."""

    features: Tensor  # (B, n_tokens, token_width) float32
    n_frames: Tensor  # (B,) int64
    inputs: Tensor  # (B, S, 3) int64, the tokens without the last
    targets: Tensor  # (B, S, 3) int64, without the first
    mask: Tensor  # (B, S) bool, False on padding
    dropped: Tensor  # (B,)


def cut_window(half: DSTHalf, start: int, settings: WindowSettings, mirror: str = "none") -> Window:
    """The window that starts at index ``start`` of a half; FootpassError if that is outside it."""
    if not 0 <= start < half.n_frames:
        raise FootpassError(f"{half.half}: a window starts at index {start}, expected 0 to {half.n_frames - 1}")
    n_frames = min(settings.window, half.n_frames - start)
    inputs = _pooled_inputs if settings.pooled else _frame_inputs
    features = inputs(half, start, n_frames, settings.frames_per_token, mirror)
    features = F.pad(features, (0, 0, 0, settings.n_tokens - len(features)))
    tokens, dropped = _window_tokens(half, start, n_frames, settings.max_tokens, mirror)
    return Window(features, n_frames, torch.from_numpy(tokens), dropped)


def _frame_inputs(half: DSTHalf, start: int, n_frames: int, per_token: int, mirror: str) -> Tensor:
    """Inputs of the frames one after the other, float32 (tokens, token_width), with zeros after the last frame."""
    features = half.features[start : start + n_frames].to(torch.float32, copy=True)
    if mirror != "none":
        features = torch.from_numpy(mirror_features(features.numpy(), mirror))
    return F.pad(features, (0, 0, 0, -n_frames % per_token)).unflatten(0, (-1, per_token)).flatten(1)


def _pooled_inputs(half: DSTHalf, start: int, n_frames: int, per_token: int, mirror: str) -> Tensor:
    """Pooled inputs of the tokens, float32 (tokens, token_width)."""
    stop = start + n_frames
    if per_token in half.pooled:
        inputs = half.pooled[per_token][start:stop:per_token]
    else:
        inputs = pool_inputs(half.features[start:stop], per_token)[::per_token]
    return inputs.clone() if mirror == "none" else mirror_pooled(inputs, mirror)


def _window_tokens(half: DSTHalf, start: int, n_frames: int, max_tokens: int, mirror: str) -> tuple[np.ndarray, int]:
    """Decoder tokens (1 + S, 3) of a window, and how many events had to be dropped."""
    if not half.labelled:
        return np.array([_SOS_TOKEN]), 0
    first, last = np.searchsorted(half.events[:, 0], [start, start + n_frames])
    index, slot, class_id = half.events[first:last].T
    events = mirror_tokens(np.stack([class_id - 1, slot, index - start + 1], axis=1), mirror)
    after = 1 + (events[-1, FRAME] if len(events) else 0)
    tokens = np.concatenate([[_SOS_TOKEN], events, [(EOS, NEUTRAL, after)]])
    return tokens[: 1 + max_tokens], max(0, len(events) - max_tokens)


def shuffle_slots(window: Window, order: np.ndarray, settings: WindowSettings) -> Window:
    """The window with its players in other slots: slot j gets whoever was in slot ``order[j]``.

    Logits move with the players, and so do the roles of events; what a formation says of a slot is lost.
    """
    tokens = window.tokens.numpy().copy()
    tokens[:, ROLE] = np.append(np.argsort(order), NEUTRAL)[tokens[:, ROLE]]
    events = tokens[:, ACTION] < SOS
    tokens[events] = tokens[events][np.lexsort((tokens[events, ROLE], tokens[events, FRAME]))]
    if settings.pooled:
        features = move_pooled(window.features, order)
    else:
        frames = window.features.unflatten(1, (settings.frames_per_token, -1))  # (tokens, frames, inputs of a frame)
        columns = torch.from_numpy(slot_columns(order, frames.shape[2]))
        features = frames.index_select(2, columns).flatten(1)
    return window._replace(features=features, tokens=torch.from_numpy(tokens))


class ListedWindows(Dataset):
    """Windows of one half at the listed starts, all with the same mirror: for inference and validation."""

    def __init__(self, half: DSTHalf, starts: Sequence[int], settings: WindowSettings, mirror: str = "none") -> None:
        self.half, self.starts, self.settings, self.mirror = half, list(starts), settings, mirror

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> Window:
        return cut_window(self.half, self.starts[i], self.settings, self.mirror)


class DSTWindows(Dataset):
    """Random windows for training: ``n_per_half`` a half, 1000 in the paper, each with a random start and mirror.

    Item i depends on the seed, the epoch and i alone. In a share ``shuffled`` of windows, 0 in the paper, the players
    of each team are in random slots (:func:`shuffle_slots`): few matches go further. FootpassError unless all halves
    have known events and the same sources of logits.
    """

    def __init__(
        self,
        halves: Sequence[DSTHalf],
        settings: WindowSettings,
        seed: int,
        epoch: int,
        n_per_half: int,
        mirrors: Sequence[str] = MIRRORS,
        shuffled: float = 0.0,
    ) -> None:
        if not halves or n_per_half < 1 or not mirrors:
            found = f"{len(halves)} halves, n_per_half={n_per_half}, {len(mirrors)} mirrors"
            raise FootpassError(f"windows: {found}; expected 1 or more")
        for half in halves:
            if not half.labelled:
                raise FootpassError(f"{half.half}: its events are unknown; expected halves with events for training")
            if half.features.shape[1] != halves[0].features.shape[1]:
                widths = f"{half.features.shape[1]} inputs a frame and {halves[0].half} {halves[0].features.shape[1]}"
                raise FootpassError(f"{half.half} has {widths}; expected the same sources of logits")
        for mirror in mirrors:
            mirror_slots(mirror)
        self.halves, self.settings, self.mirrors = list(halves), settings, tuple(mirrors)
        self.seed, self.epoch, self.n_per_half, self.shuffled = seed, epoch, n_per_half, shuffled

    def __len__(self) -> int:
        return len(self.halves) * self.n_per_half

    def draw(self, i: int) -> tuple[DSTHalf, int, str, np.ndarray | None]:
        """Half, start, mirror and, if its slots are shuffled, their order, of item i."""
        if not 0 <= i < len(self):
            raise IndexError(f"item {i} of {len(self)}")
        half = self.halves[i // self.n_per_half]
        rng = np.random.default_rng([self.seed, self.epoch, i])
        start = int(rng.integers(max(1, half.n_frames - self.settings.window + 1)))
        mirror = self.mirrors[int(rng.integers(len(self.mirrors)))]
        if rng.random() >= self.shuffled:
            return half, start, mirror, None
        return half, start, mirror, np.concatenate([rng.permutation(N_ROLES), N_ROLES + rng.permutation(N_ROLES)])

    @staticmethod
    def collate(windows: Sequence[Window]) -> WindowBatch:
        return collate_windows(windows)

    def __getitem__(self, i: int) -> Window:
        half, start, mirror, order = self.draw(i)
        window = cut_window(half, start, self.settings, mirror)
        return window if order is None else shuffle_slots(window, order, self.settings)


def collate_windows(windows: Sequence[Window]) -> WindowBatch:
    """A batch of windows; padding carries EOS tokens, where the mask is False."""
    filler = torch.tensor([EOS, NEUTRAL, 0])
    inputs = pad_sequence([w.tokens[:-1] for w in windows], batch_first=True)
    targets = pad_sequence([w.tokens[1:] for w in windows], batch_first=True)
    lengths = torch.tensor([len(w.tokens) - 1 for w in windows])
    mask = torch.arange(inputs.shape[1]) < lengths[:, None]  # (B, S)
    return WindowBatch(
        features=torch.stack([w.features for w in windows]),
        n_frames=torch.tensor([w.n_frames for w in windows]),
        inputs=torch.where(mask[..., None], inputs, filler),
        targets=torch.where(mask[..., None], targets, filler),
        mask=mask,
        dropped=torch.tensor([w.dropped for w in windows]),
    )
