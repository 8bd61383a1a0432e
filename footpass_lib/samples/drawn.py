"""Play that no detector has seen, with logits drawn from a bank of windows: new ones whenever it is looked at.

Start at :func:`played_half` and :func:`draw_epoch`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from footpass_lib.data.boxes import short_gaps
from footpass_lib.data.known import KnownHalf
from footpass_lib.data.logits import background_logits
from footpass_lib.samples.bank import (
    BESIDE,
    FAR,
    NEAR,
    REACH,
    WIDTH,
    WindowBank,
    anchor_room,
    find_anchors,
    near_ball,
)
from footpass_lib.samples.tokens import STATE_WIDTH, DSTHalf, dst_half
from footpass_lib.schema import BACKGROUND, N_CLASSES, N_SLOTS, FootpassError

EAGERNESS = 0.7  # standard deviation of what a half's logits of events have more than the bank's
_SHORTEST = 8  # frames of an anchor's window before and after its centre, if there is room
_STREAM = 1  # sets these draws apart from those of windows
_TRIED = 4  # windows for each anchor, of which the one that fills its room best is taken


@dataclass(frozen=True, eq=False)
class PlayedHalf:
    """What is kept of a half of T frames to draw logits for it, 310 bytes a frame."""

    half: str  # game_<i>_H<1|2>
    first_frame: int
    state: np.ndarray  # float16 (T, 130), the game state as in DSTHalf
    events: np.ndarray  # int64 (E, 3) as in DSTHalf
    anchors: np.ndarray  # int64 (A, 3), see bank.find_anchors
    seen: np.ndarray  # bool (26, T), whom a detector would see
    near: np.ndarray  # bool (26, T), who is near the ball

    @property
    def n_frames(self) -> int:
        """Number of frames T."""
        return len(self.state)


def played_half(known: KnownHalf, fill_gaps: bool = True) -> PlayedHalf:
    """A half ready for drawing, as a detector sees it that fills short gaps in the boxes, or does not."""
    half, near = known.tactical, near_ball(known)
    bare = dst_half(half, background_logits(half.n_frames))
    seen = half.visible | short_gaps(half.visible)[0] if fill_gaps else half.visible
    state = bare.features[:, :STATE_WIDTH].numpy().copy()
    return PlayedHalf(half.half, half.first_frame, state, bare.events, find_anchors(known, near), seen, near)


def draw_logits(
    bank: WindowBank,
    half: PlayedHalf,
    rng: np.random.Generator,
    sources: Sequence[str] | None = None,
    eagerness: float = EAGERNESS,
) -> np.ndarray:
    """Logits of a half, float16 (S, 9, 26, T), from windows of the bank; background where nobody is seen.

    ``sources`` are those of the bank that are wanted, all by default: what is drawn of one is the same without the
    others. ``eagerness`` as in ``EAGERNESS``, for each source apart. FootpassError if the bank lacks a source, or
    windows of a kind that the half needs.
    """
    wanted = list(bank.sources if sources is None else sources)
    if missing := [name for name in wanted if name not in bank.sources]:
        raise FootpassError(f"the bank has no logits of {', '.join(missing)}; it has {', '.join(bank.sources)}")
    offset = np.zeros((len(bank.sources), N_CLASSES), np.float32)
    offset += eagerness * rng.standard_normal((len(bank.sources), 1))
    offset[:, BACKGROUND] = 0
    window, place = _bystanders(bank, half, rng)
    _put_anchors(window, place, bank, half, rng)
    chosen = [bank.sources.index(name) for name in wanted]
    taken = bank.logits[window[half.seen], place[half.seen]][:, chosen]  # (seen, S, 9)
    logits = np.empty((N_SLOTS, half.n_frames, len(wanted), N_CLASSES), np.float16)
    logits[...] = background_logits(1)[:, 0, 0]
    logits[half.seen] = taken + offset[chosen]
    return logits.transpose(2, 3, 0, 1)


def _bystanders(bank: WindowBank, half: PlayedHalf, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A window and a place in it for every player and frame, (26, T) each: one bystander's window after the other.

    The first one of each player begins anywhere; one is near or far as the player is in its middle. At the joints
    nothing is blended, which would make logits tamer than they are.
    """
    lead = rng.integers(WIDTH, size=(N_SLOTS, 1))
    block, place = np.divmod(np.arange(half.n_frames) + lead, WIDTH)
    middle = np.arange(block.max() + 1) * WIDTH + REACH - lead
    near = np.take_along_axis(half.near, middle.clip(0, half.n_frames - 1), axis=1)
    drawn = np.where(near, bank.draw(NEAR, near.shape, rng), bank.draw(FAR, near.shape, rng))
    return np.take_along_axis(drawn, block, axis=1), place


def _put_anchors(
    window: np.ndarray, place: np.ndarray, bank: WindowBank, half: PlayedHalf, rng: np.random.Generator
) -> None:
    """Put windows of their kinds around the anchors, with borders drawn anew so that these say nothing.

    Bystanders at another's event stay as they are where the bank has no such window.
    """
    edge = np.stack([half.anchors[:, 0], half.n_frames - 1 - half.anchors[:, 0]], axis=1)
    drawn = rng.integers(_SHORTEST, REACH, (len(edge), 2), endpoint=True)
    room = np.minimum(np.minimum(anchor_room(half.anchors), edge), drawn)
    for (index, slot, kind), free in zip(half.anchors, room, strict=True):
        if kind > BESIDE and not bank.has(kind):
            continue
        tried = bank.draw(kind, _TRIED, rng)
        reach = np.minimum(bank.reach[tried], free)
        best = reach.sum(axis=1).argmax()
        frames = np.arange(-int(reach[best, 0]), int(reach[best, 1]) + 1)
        window[slot, index + frames], place[slot, index + frames] = tried[best], REACH + frames


def draw_half(
    bank: WindowBank, half: PlayedHalf, rng: np.random.Generator, sources: Sequence[str] | None = None
) -> DSTHalf:
    """A half for the sequence model with logits as from :func:`draw_logits`."""
    logits = draw_logits(bank, half, rng, sources).transpose(3, 0, 2, 1)  # (T, S, 26, 9)
    features = np.concatenate([half.state, logits.reshape(half.n_frames, -1)], axis=1)
    return DSTHalf(half.half, half.first_frame, torch.from_numpy(features), half.events, labelled=True)


def draw_epoch(
    bank: WindowBank,
    halves: Sequence[PlayedHalf],
    seed: int,
    epoch: int,
    number: int,
    sources: Sequence[str] | None = None,
) -> list[DSTHalf]:
    """So many of the halves, other ones every epoch until all had their turn, with logits of this epoch.

    A half's logits depend on the seed, the epoch and its place among the halves alone. FootpassError as from
    :func:`draw_logits`, or if there is no half.
    """
    if not halves or number < 1:
        raise FootpassError(f"{number} of {len(halves)} halves are to be drawn; expected 1 or more")
    return [
        draw_half(bank, halves[i], np.random.default_rng([seed, epoch, i, _STREAM]), sources)
        for i in _in_turn(len(halves), min(number, len(halves)), seed, epoch)
    ]


def _in_turn(total: int, number: int, seed: int, epoch: int) -> list[int]:
    """The numbers of an epoch, from 1, out of one random order of all after the other; each once, ascending."""
    places = np.arange((epoch - 1) * number, epoch * number)
    rounds = {
        int(r): np.random.default_rng([seed, int(r), 0, _STREAM]).permutation(total) for r in np.unique(places // total)
    }
    return sorted({int(rounds[place // total][place % total]) for place in places.tolist()})
