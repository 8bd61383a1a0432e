"""The sequence model on real matches without video: trained on a detector's replay, run over the detector's own events.

For each match that is scored, the replay is fitted on the other ones and played over the training matches. Nothing is
fitted on the match that is scored, and thresholds come from training matches that the sequence model has not seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch.utils.data import Dataset

from footpass_lib.events.nms import nms
from footpass_lib.events.playbyplay import Events, make_events, read_events, write_events
from footpass_lib.files import key_of, sha256_file
from footpass_lib.models.dst import DST
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.replay.fit import DetectorReplay, fit_replay
from footpass_lib.replay.planted import any_detector, plant
from footpass_lib.replay.play import play
from footpass_lib.replay.windows import DetectedHalf, DetectedWindows, cut_detections, detected_halves
from footpass_lib.samples.windows import Window, WindowSettings
from footpass_lib.schema import FPS, N_SLOTS, FootpassError
from footpass_lib.spotting.detector import window_starts
from footpass_lib.spotting.stitching import DecodeSettings, decode_windows, zones
from footpass_lib.study.dst import class_counts
from footpass_lib.study.place import Study
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.pretrained import publish_weights, start_from, weights_file
from footpass_lib.study.profiles import get_profile
from footpass_lib.training.apart import train_apart
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.fit import fit
from footpass_lib.training.run_folder import is_finished

_HEARD = ["frame", "team", "jersey", "class", "score"]


@dataclass(frozen=True)
class ReplayPlan:
    """How much of everything there is; FootpassError if a number is below 1."""

    first: DSTPlan  # on made-up detectors, once a seed
    second: DSTPlan  # on the replay, from there
    seeds: int = 3
    matches: int = 48  # training matches that the detector is played over
    held_out: int = 2  # of these, which the sequence model does not learn from: for thresholds
    minutes: float = 60.0  # of each half that is scored or held out
    plays: int = 6  # of each scored match, to see whether the replay is like the detector

    def __post_init__(self) -> None:
        if min(self.seeds, self.held_out, self.plays) < 1 or self.matches <= self.held_out or self.minutes <= 0:
            found = f"seeds={self.seeds}, matches={self.matches}, held_out={self.held_out}, minutes={self.minutes}"
            raise FootpassError(f"replay plan: {found}; expected 1 or more, and more matches than are held out")


def replay_plan(study: Study) -> ReplayPlan:
    """The plan of the study's profile, always with a small sequence model: the paper's needs positions of players."""
    name, dst = study.profile.name, get_profile("embedded").dst
    if name == "smoke":
        small = replace(_steps(dst, 1, 2), windows_per_half=20)
        return ReplayPlan(small, small, seeds=1, matches=3, held_out=1, minutes=1.5, plays=1)
    if name == "embedded":
        return ReplayPlan(_steps(dst, 3, 200), _steps(dst, 2, 60))
    return ReplayPlan(_steps(dst, 6, 1000), _steps(dst, 3, 300), seeds=5)


def _steps(plan: DSTPlan, epochs: int, steps: int) -> DSTPlan:
    """So many epochs of so many steps, at a rate that suits some hundreds; windows are decoded one after the other."""
    train = replace(
        plan.train, epochs=epochs, steps_per_epoch=steps, learning_rates={"head": 1e-3}, milestones=(epochs,),
        warmup_steps=epochs * steps // 8,
    )  # fmt: skip
    return replace(plan, train=train, windows_per_half=200, decode=replace(plan.decode, stride=None))


def start(study: Study) -> Path | None:
    """The weights that a sequence model starts from, if the study starts from those that come with it."""
    return weights_file(study, "dst")


@dataclass(frozen=True, eq=False)
class LeftOut:
    """What one match is scored with: a replay fitted on the others, and what it said over training matches."""

    game: int
    detector: DetectorReplay
    played: Events


def leave_out(detections: Events, truth: Events, training: Events, seed: int) -> list[LeftOut]:
    """For each of two or more matches, the replay that is fitted on the others, and played over training matches."""
    games = truth.games
    if len(games) < 2:
        raise FootpassError(f"replay, leave one match out: expected two matches or more, found {games}")
    folds = []
    for game in games:
        detector = fit_replay(detections, truth.select_games(set(games) - {game}))
        folds.append(LeftOut(game, detector, play(detector, training, np.random.default_rng([seed, game]))))
    return folds


def made_up(training: Events, seed: int) -> list[DetectedHalf]:
    """Halves as made-up detectors see them, each another one: what a sequence model may learn before any replay."""
    parts = []
    for number, half in enumerate(training.halves):
        rng = np.random.default_rng([seed, number])
        parts.append(plant(any_detector(rng), training.select([half]), rng))
    return detected_halves(join_matches(parts, training.halves), training)


def training_matches(training: Events, plan: ReplayPlan) -> tuple[Events, Events]:
    """The matches that the sequence model learns from, and those held out, spread over all."""
    games = np.array(training.games)[np.linspace(0, len(training.games) - 1, plan.matches).round().astype(int)]
    held = set(games[:: -(-plan.matches // plan.held_out)].tolist())
    return training.select_games(set(games.tolist()) - held), training.select_games(held)


def first_minutes(events: Events, truth: Events, minutes: float) -> Events:
    """Events of a half up to so many minutes after the first one of its ground truth."""
    start = truth.table.groupby("half")["frame"].min()
    limit = events.table["half"].map(start).fillna(0).to_numpy() + minutes * 60 * FPS
    return events.with_table(events.table[events.table["frame"].to_numpy() <= limit])


def join_matches(parts: Iterable[Events], halves: Sequence[str]) -> Events:
    """Events of several matches as one, for the named halves."""
    return Events(tuple(halves), pd.concat([part.table for part in parts], ignore_index=True))


@dataclass(frozen=True, eq=False)
class SequenceRun:
    """A sequence model: how it is trained, from which weights, on which detections, and over which others it is run."""

    name: str
    plan: DSTPlan
    seed: int
    learn: Sequence[DetectedHalf]
    listen: Mapping[str, Events]  # by name
    start: Path | None = None


@dataclass(frozen=True)
class Written:
    """What became of a run: the events that were found, by name, and the model's weights."""

    events: Mapping[str, Events]
    weights: Path


def run_all(study: Study, runs: Sequence[SequenceRun]) -> list[Written]:
    """Train sequence models side by side, and write down what they find; what is there already is read."""
    calls = [(run, *_place(study, run)) for run in runs]
    waiting = [call for call in calls if not _is_done(*call)]
    if waiting:
        train_apart(run_one, waiting, waiting[0][0].plan.train)
    return [run_one(*call) for call in calls]


def _place(study: Study, run: SequenceRun) -> tuple[Path, str, str]:
    """Folder of a run, the key of what its model depends on, and that of what its events do."""
    learned = [[half.half, *map(_hash, (half.said, half.score, half.events))] for half in run.learn]
    start = sha256_file(run.start) if run.start else None
    place = study.run(f"{run.name}-seed{run.seed}", replace(run.plan, decode=None), run.seed, learned, start)
    heard = {name: _hash(events.table[_HEARD].to_numpy(float)) for name, events in run.listen.items()}
    return place.folder, place.key, key_of(heard, replace(run.plan.decode, batch=1))[:10]


def _hash(values: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(values)).hexdigest()


def _is_done(run: SequenceRun, folder: Path, key: str, heard: str) -> bool:
    return is_finished(folder) and all(path.is_file() for path in _files(run, folder, heard).values())


def _files(run: SequenceRun, folder: Path, heard: str) -> dict[str, Path]:
    return {name: folder / f"events_{name}-{heard}.json" for name in run.listen}


def run_one(run: SequenceRun, folder: Path, key: str, heard: str) -> Written:
    """Train one sequence model, or load it, and write down its events; all of it is kept in its folder."""
    files, weights = _files(run, folder, heard), folder / "weights.safetensors"
    if not _is_done(run, folder, key, heard):
        model = train_on_detections(run.plan, run.learn, run.seed, folder, key, run.start)
        publish_weights(model, weights)
        for name, path in files.items():
            write_events(path, write_down(model, run.listen[name], run.plan.decode, run.seed), "predictions")
    return Written({name: read_events(path, "predictions") for name, path in files.items()}, weights)


def train_on_detections(
    plan: DSTPlan, halves: Sequence[DetectedHalf], seed: int, folder: Path | None, key: str, start: Path | None = None
) -> DST:
    """The sequence model after its last epoch, in evaluation mode; ``fit`` says what the folder is for."""
    loss = DSTLoss(plan.loss, class_counts(halves), plan.model.windows.frames_per_token)
    model = build_dst(plan.network, seed)
    if start is not None:
        start_from(start, model)
    return fit(
        model,
        lambda epoch: DetectedWindows(halves, plan.model.windows, seed, epoch, plan.windows_per_half),
        lambda epoch: loss,
        replace(plan.train, seed=seed),
        folder,
        config={"key": key},
    ).model


class _SeatedWindows(Dataset):
    """Windows of a half at given starts, and, once they were cut, the ``players`` in their slots."""

    def __init__(self, half: DetectedHalf, starts: Sequence[int], settings: WindowSettings, seed: int) -> None:
        self.half, self.starts, self.settings, self.seed = half, list(starts), settings, seed
        self.players = np.full((len(self.starts), N_SLOTS), -1)

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, i: int) -> Window:
        rng = np.random.default_rng([self.seed, i])
        window, self.players[i] = cut_detections(self.half, self.starts[i], self.settings, rng)
        return window


def write_down(model: DST, detections: Events, settings: DecodeSettings, seed: int) -> Events:
    """The events that a sequence model finds in detections, half by half; ``seed`` is for the order of players.

    An event that it gives to a slot of nobody, as it may give one whose player was not detected, is left out.
    """
    model.eval()
    tables = [_write_half(model, half, settings, seed).table for half in detected_halves(detections)]
    return Events(detections.halves, pd.concat([make_events((), _NOTHING).table, *tables], ignore_index=True))


_NOTHING: dict[str, list] = {name: [] for name in ("half", "frame", "team", "jersey", "class", "score")}


def _write_half(model: DST, half: DetectedHalf, settings: DecodeSettings, seed: int) -> Events:
    shape = model.settings.windows
    starts = window_starts(half.n_frames, shape.window, settings.stride or shape.window)
    windows, limits = _SeatedWindows(half, starts, shape, seed), zones(starts, shape.window, half.n_frames)
    window, index, slot, class_id, score = decode_windows(model, windows, starts, limits, settings)
    player = windows.players[window, slot]
    order = np.lexsort((slot, index))
    order = order[player[order] >= 0]
    team, jersey = half.players[player[order]].T
    columns = {"half": [half.half] * len(order), "frame": index[order] + half.first_frame, "team": team}
    columns |= {"jersey": jersey, "class": class_id[order], "score": score[order]}
    events = make_events([half.half], columns)
    return events if settings.nms is None else nms(events, settings.nms)
