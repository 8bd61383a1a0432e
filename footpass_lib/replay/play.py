"""Play a detector over events of which only the ground truth is known."""

from __future__ import annotations

import numpy as np

from footpass_lib.events.near import ranges
from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events
from footpass_lib.events.timeline import Timeline
from footpass_lib.replay.fit import ACTOR, LAST, NEXT, REACH, DetectorReplay
from footpass_lib.replay.scene import Scene, describe_scene, kinds, quiet_stretches

_ENOUGH = 8  # events that are alike; where there are fewer, they need not be so like
_NOISE = 0.15  # standard deviation of what is added to the log odds of scores: no two answers are quite the same


def play(detector: DetectorReplay, truth: Events, rng: np.random.Generator) -> Events:
    """What the detector might have said of these events.

    An event gets all answers that an event of the same class, with and without a box and in a replay or not like it,
    once got; a quiet stretch a piece of the tape. FootpassError if the ground truth lacks the fields box and replay.
    """
    scene = describe_scene(truth)
    parts = [_answer(detector, scene, rng), _at_rest(detector, scene, rng)]
    said = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    odds = np.log(said["score"] / (1 - said["score"]).clip(1e-6)) + rng.normal(0, _NOISE, len(said["score"]))
    said |= {"score": 1 / (1 + np.exp(-odds)), "half": scene.table["half"].to_numpy()[said.pop("event")]}
    possible = said["frame"] >= 0
    return nms(make_events(truth.halves, {name: values[possible] for name, values in said.items()}))


def choose_answers(detector: DetectorReplay, scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """The event of the detector's scene whose answers each event gets, shape (N,).

    The one that comes after what the event before got, if it is alike: a detector that misses a passage misses most of
    it. Else any that is alike.
    """
    theirs = detector.scene
    kind, their_kind = kinds(scene), kinds(theirs)
    donor = _draw_alike(kind, their_kind, rng)
    following = np.append(np.arange(1, len(theirs)), 0)
    goes_on = np.append(theirs.line.half[1:] == theirs.line.half[:-1], False)
    place = np.arange(len(scene)) - np.searchsorted(scene.line.half, scene.line.half)  # in its half
    by_place = np.argsort(place, kind="stable")
    for rows in np.split(by_place, np.cumsum(np.bincount(place))[:-1])[1:]:  # all halves at once
        before = donor[rows - 1]
        alike = goes_on[before] & (their_kind[following[before]] == kind[rows]).all(axis=1)
        donor[rows] = np.where(alike, following[before], donor[rows])
    return donor


def _draw_alike(kind: np.ndarray, their_kind: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For each event a random one that is alike in all columns of its kind, or in all but the last one, two, ..."""
    donor, left = np.full(len(kind), -1), np.arange(len(kind))
    for columns in range(kind.shape[1], -1, -1):
        both = np.concatenate([their_kind[:, :columns], kind[left, :columns]])
        number = np.unique(both, axis=0, return_inverse=True)[1].reshape(-1) if columns else np.zeros(len(both), int)
        theirs, ours = number[: len(their_kind)], number[len(their_kind) :]
        order, count = np.argsort(theirs, kind="stable"), np.bincount(theirs, minlength=number.max() + 1)
        enough = count[ours] >= (_ENOUGH if columns else 1)
        low = (np.cumsum(count) - count)[ours[enough]]
        place = low + (rng.random(enough.sum()) * count[ours[enough]]).astype(np.int64)
        donor[left[enough]], left = order[place], left[~enough]
    return donor


def _answer(detector: DetectorReplay, scene: Scene, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """All answers to the events of a scene."""
    donor = choose_answers(detector, scene, rng)
    event, row = ranges(detector.first[donor], np.diff(detector.first)[donor])
    said = {name: detector.answers[name].to_numpy()[row] for name in detector.answers}
    their_class = detector.scene.line.class_id[donor][event]
    right = said["class"] == their_class
    team, jersey = _name_players(scene, event, said, rng)
    return {
        "event": event, "frame": scene.table["frame"].to_numpy()[event] + said["lag"], "team": team, "jersey": jersey,
        "class": np.where(right, scene.line.class_id[event], said["class"]), "score": said["score"],
    }  # fmt: skip


def _at_rest(detector: DetectorReplay, scene: Scene, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """What is said in the quiet stretches of a scene: each gets a piece of the tape from anywhere, with other names."""
    before, start, frames = quiet_stretches(scene.line, REACH)
    tape, total = detector.tape, max(detector.tape_frames, 1)
    offset = rng.integers(total, size=len(before))
    time = np.concatenate([tape["time"].to_numpy(), tape["time"].to_numpy() + total])  # it has no end
    first = np.searchsorted(time, offset)
    frames = np.minimum(frames, total)
    stretch, row = ranges(first, np.searchsorted(time, offset + frames) - first)
    event, since = before[stretch], time[row] - offset[stretch]
    row = row % max(len(tape), 1)
    who = _draw_once(scene.line, event, tape["player"].to_numpy()[row], rng)
    begins = scene.table["frame"].to_numpy()[event] + start[stretch] - scene.line.time[event]
    return {
        "event": event, "frame": begins + since, "team": scene.line.team[who],
        "jersey": scene.table["jersey"].to_numpy(np.int64)[who], "class": tape["class"].to_numpy()[row],
        "score": tape["score"].to_numpy()[row],
    }  # fmt: skip


def _name_players(
    scene: Scene, event: np.ndarray, said: dict[str, np.ndarray], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Team and jersey of answers: the actor's, a neighbour's, or someone else's of the half."""
    line, team, jersey = scene.line, scene.line.team, scene.table["jersey"].to_numpy(np.int64)
    who = np.full(len(event), -1)
    for whom, rows in ((ACTOR, np.arange(len(line))), (LAST, scene.last), (NEXT, scene.next)):
        mine = said["whom"] == whom
        who[mine] = rows[event[mine]]
    same_side = (who >= 0) & ((team[who] == team[event]) == said["mate"])
    side = np.where(said["mate"], team[event], 1 - team[event])
    who = np.where(same_side, who, _draw_once(line, event, said["player"], rng, side))
    return team[who], jersey[who]


def _draw_once(
    line: Timeline, event: np.ndarray, player: np.ndarray, rng: np.random.Generator, side: np.ndarray | None = None
) -> np.ndarray:
    """Rows of random events of the same half, and team if one is given: who acts often is drawn often.

    A ``player`` that has no counterpart is drawn once for all that name them near the same ``event``.
    """
    _, first, group = np.unique(np.stack([event, player], axis=1), axis=0, return_index=True, return_inverse=True)
    side = rng.integers(2, size=len(first)) if side is None else side[first]
    of_team = line.half * 2 + line.team
    order = np.argsort(of_team, kind="stable")
    wanted = line.half[event][first] * 2 + side
    low = np.searchsorted(of_team[order], wanted)
    count = np.searchsorted(of_team[order], wanted, side="right") - low
    place = low + (rng.random(len(wanted)) * count).astype(np.int64)
    return order[np.minimum(place, len(order) - 1)][group.reshape(-1)]
