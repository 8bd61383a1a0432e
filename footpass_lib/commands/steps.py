"""Steps on a command line: their options, in which their order counts, and how they are taken."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from footpass_lib.commands.rescore import parse_games
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.events.nms import NMS_WINDOW
from footpass_lib.events.playbyplay import Events, Kind, read_events
from footpass_lib.files import read_object
from footpass_lib.postprocessing.corrections import nms_step, reassign_jerseys, refine_frames
from footpass_lib.postprocessing.ensemble import merge
from footpass_lib.postprocessing.evidence import Evidence, detection_evidence, read_logit_evidence
from footpass_lib.postprocessing.steps import StepResult, class_values, is_number
from footpass_lib.schema import EVENT_CLASSES, TOLERANCE, FootpassError

NUMBERS = "a number, or a JSON file {class: number}"
STEPS = ("gate", "thresholds", "refine", "reassign", "nms", "merge")
_LOGITS = (".h5", ".hdf5")


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """What both commands read: predictions, matches, a detector's evidence."""
    add = parser.add_argument
    add("predictions", type=Path, help="play-by-play JSON with [frame, team, jersey, class, score]")
    add("--games", metavar="18,24", help="only these matches (all by default)")
    add("--evidence", type=Path, help="what a detector saw: scored events (.json), or logits (.h5, with --data-root)")
    add("--data-root", type=Path, help="folder in the official layout, which says who is in a slot of the logits")
    add_drop_option(parser)
    add("--kind", choices=("probability", "logit"), help="what is read from logits (probability)")
    add("--window", type=int, default=TOLERANCE, help="look for evidence so many frames around (%(default)s)")


def add_drop_option(parser: argparse.ArgumentParser) -> None:
    """What every command with a ``--data-root`` may leave out of its tables."""
    text = "leave out rows of the tables that have no team, role or shirt (referees, say), and count them"
    parser.add_argument("--drop-unassigned", action="store_true", help=text)


def step_option(group: argparse._ArgumentGroup, name: str, **settings) -> None:
    """An option that is a step: all of them are kept together in ``options.steps``, as (name, text)."""
    group.add_argument(f"--{name}", dest="steps", action="append", type=partial(_named, name), **settings)


def _named(name: str, text: str) -> tuple[str, str]:
    return name, text


def add_step_options(group: argparse._ArgumentGroup) -> None:
    """The steps that both commands know; an option ``--merge-alone`` belongs to the step ``--merge``."""
    step, add = partial(step_option, group), group.add_argument
    step("refine", metavar="PEAK", help=f"move events to the evidence's peak where it reaches PEAK ({NUMBERS})")
    step("reassign", metavar="MARGIN", help=f"give events to a team-mate whose evidence is MARGIN ahead ({NUMBERS})")
    add("--reassign-absent", type=float, metavar="VALUE", help="take VALUE as evidence of a player who is not seen, 0 "
        "for example (they keep their events by default)")  # fmt: skip
    frames = ("nms", str(NMS_WINDOW))
    step("nms", nargs="?", const=frames, metavar="FRAMES", help="of one player's events of a class within FRAMES "
         f"({NMS_WINDOW}) keep the best")  # fmt: skip
    step("merge", metavar="OTHER", help="merge with the predictions of another model")
    add("--merge-window", type=int, metavar="FRAMES", help=f"take events so far apart for one ({TOLERANCE})")
    add("--merge-alone", metavar="SCORE", help=f"drop what one model alone has, below SCORE ({NUMBERS})")
    add("--merge-exclude", metavar="CLASSES", help="take none of these classes from OTHER, for example tackle,block")


@dataclass(frozen=True, eq=False)
class Input:
    """Predictions, what a detector says of them, those of other models by file, and what errors call all this."""

    events: Events
    evidence: Evidence | None
    evidence_kind: str  # as a gate file calls it
    others: dict[Path, Events]
    name: str


@dataclass(frozen=True, eq=False)
class PlannedStep:
    """A step and the library's keywords for it, plain values; ``file`` holds another model's predictions, or gates."""

    name: str
    settings: dict
    file: Path | None = None

    def take(self, given: Input) -> StepResult:
        """What becomes of the events; any step but the gate, of which more must be known."""
        with naming(given.name):
            if self.name == "refine":
                return refine_frames(given.events, given.evidence, **self.settings)
            if self.name == "reassign":
                return reassign_jerseys(given.events, given.evidence, **self.settings)
            if self.name == "nms":
                return nms_step(given.events, **self.settings)
            settings = dict(self.settings)
            excluded = {1: settings.pop("exclude")}
            return merge([given.events, given.others[self.file]], excluded=excluded, **settings)

    def record(self) -> dict:
        """Plain values."""
        return {"step": self.name, "settings": self.settings}


def read_steps(options: argparse.Namespace) -> list[PlannedStep]:
    """The steps that a command line names, in its order, when its options go together."""
    asked = options.steps or []
    for option, value in vars(options).items():
        step, _, setting = option.partition("_")
        if step in STEPS and setting and value is not None and step not in dict(asked):
            raise FootpassError(f"--{step}-{setting}: belongs to --{step}, which is not there")
    steps = [_read_step(name, text, options) for name, text in asked]
    names = [step.name for step in steps]
    for name in ("gate", "merge"):
        if names.count(name) > 1:  # a second gate would stand on labels that the first one saw
            raise FootpassError(f"--{name}: expected one {name}, found {names.count(name)}")
    for name in ("refine", "reassign"):
        if name in names and options.evidence is None:
            raise FootpassError(f"--{name}: expected --evidence with it")
    return steps


def _read_step(name: str, text: str, options: argparse.Namespace) -> PlannedStep:
    window = {"window": options.window}
    if name == "gate":
        return PlannedStep("gate", {}, Path(text))
    if name == "thresholds":
        rule = {"missing": options.thresholds_missing or "drop"}
        return PlannedStep("gate", {"thresholds": class_numbers(text, "--thresholds")} | window | rule)
    if name == "refine":
        return PlannedStep(name, {"thresholds": class_numbers(text, "--refine")} | window)
    if name == "reassign":
        margins = {"margins": class_numbers(text, "--reassign")}
        if min(margins["margins"].values(), default=0.0) < 0:
            raise FootpassError(f"--reassign: expected margins of 0 or more, found {min(margins['margins'].values())}")
        if options.reassign_absent is not None and not is_number(options.reassign_absent):
            raise FootpassError(f"--reassign-absent: expected a finite number, found {options.reassign_absent}")
        return PlannedStep(name, margins | window | {"absent": options.reassign_absent})
    if name == "nms":
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise FootpassError(f"--nms: expected a number of frames, found {text[:30]!r}")
        return PlannedStep(name, {"window": int(text)})
    alone = {} if options.merge_alone is None else class_numbers(options.merge_alone, "--merge-alone")
    exclude = [name.strip() for name in (options.merge_exclude or "").split(",") if name.strip()]
    with naming("--merge-exclude"):
        class_values(dict.fromkeys(exclude, 0.0), 0.0)
    distance = TOLERANCE if options.merge_window is None else options.merge_window
    return PlannedStep(name, {"window": distance, "alone": alone, "exclude": exclude}, Path(text))


def class_numbers(text: str, option: str) -> dict[str, float]:
    """Numbers by class name from one number, or from a JSON file."""
    try:
        values, source = dict.fromkeys(EVENT_CLASSES, float(text)), option
    except ValueError:
        try:
            values, source = read_object(Path(text)), text
        except FootpassError as error:
            raise FootpassError(f"{error}; expected for {option} {NUMBERS}") from error
    for name, value in values.items():
        if not is_number(value):
            raise FootpassError(f"{source}: {name}: expected a finite number, found {str(value)[:30]}")
    with naming(source):
        class_values(values, 0.0)
    return values


def read_input(options: argparse.Namespace, steps: Sequence[PlannedStep], halves: Sequence[str] | None = None) -> Input:
    """What the steps need, of the matches of ``--games``, or of some halves."""
    events = read_games(options.predictions, "predictions", options.games if halves is None else None)
    others = {step.file: read_events(step.file, "predictions") for step in steps if step.name == "merge"}
    if halves is not None:
        events, others = events.select(halves), {path: other.select(halves) for path, other in others.items()}
    elif options.games is not None:
        others = {path: other.select_games(events.games) for path, other in others.items()}
    if options.evidence is None:
        return Input(events, None, "scores", others, str(options.predictions))
    present = dict.fromkeys(half for one in (events, *others.values()) for half in one.table["half"])
    evidence, kind = _read_evidence(options, list(present))
    return Input(events, evidence, kind, others, f"{options.predictions} by {options.evidence}")


def _read_evidence(options: argparse.Namespace, halves: Sequence[str]) -> tuple[Evidence, str]:
    path = options.evidence
    if path.suffix.lower() not in _LOGITS:
        if options.kind is not None:
            raise FootpassError(f"{path}: --kind is for logits ({' or '.join(_LOGITS)})")
        return detection_evidence(read_events(path, "predictions")), "detections"
    if options.data_root is None:
        raise FootpassError(f"{path}: logits are of slots; expected --data-root, which says who is in them")
    kind, root = options.kind or "probability", DataRoot(options.data_root, drop_unassigned=options.drop_unassigned)
    with naming(path):
        return read_logit_evidence(path, map(root.half, halves), kind), kind


def read_games(path: Path, kind: Kind, games: str | None) -> Events:
    """A play-by-play file, or some matches of it."""
    events = read_events(path, kind)
    if games is None:
        return events
    wanted = parse_games(games, "--games")
    absent = [game for game in wanted if game not in events.games]
    if absent:
        there = ", ".join(map(str, events.games)) or "none"
        raise FootpassError(f"{path}: has no match {absent[0]}, which --games names; it has {there}")
    return events.select_games(wanted)


def check_common(truth: Events, options: argparse.Namespace, events: Events) -> None:
    """Refuse ground truth of other halves altogether."""
    if not set(truth.halves) & set(events.halves):
        raise FootpassError(f"{options.truth}: names no half of {options.predictions}; expected ground truth of them")


@contextmanager
def naming(source: object) -> Iterator[None]:
    """Put the source before the errors that do not speak of it."""
    try:
        yield
    except FootpassError as error:
        prefix = "" if str(error).startswith(str(source)) else f"{source}: "
        raise FootpassError(f"{prefix}{error}") from None
