"""``python -m footpass_lib postprocess``: gate, refine, re-assign, suppress and merge the predictions of a file."""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from footpass_lib.commands.rescore import parse_games
from footpass_lib.data.dataroot import DataRoot
from footpass_lib.events.metrics import Scores, evaluate
from footpass_lib.events.nms import NMS_WINDOW
from footpass_lib.events.playbyplay import Events, Kind, read_events, write_events
from footpass_lib.files import read_object, write_json
from footpass_lib.postprocessing.corrections import gate, nms_step, reassign_jerseys, refine_frames
from footpass_lib.postprocessing.effects import effect
from footpass_lib.postprocessing.ensemble import merge
from footpass_lib.postprocessing.evidence import Evidence, detection_evidence, read_logit_evidence
from footpass_lib.postprocessing.gates import PSEUDO_EVENTS, CalibratedGate, fit_gate, leave_one_match_out, report
from footpass_lib.postprocessing.steps import Step, class_values
from footpass_lib.schema import EVENT_CLASSES, TOLERANCE, FootpassError

STEPS = ("gate", "refine", "reassign", "nms", "merge")
_ONCE = ("gate", "merge")  # a second gate would stand on labels that the first one saw
_LOGITS = (".h5", ".hdf5")
_COUNTS = ["events before", "removed", "moved", "re-assigned", "added", "events after"]
_VERDICTS = ["tp lost", "tp gained", "fp removed", "fp added", "f1 before", "f1 after"]
# what an option is for: some of these steps
_STEP_OF = {
    "evidence": ("gate", "refine", "reassign"), "thresholds": ("gate",), "fit_truth": ("gate",),
    "leave_one_out": ("gate",), "missing": ("gate",), "refine_thresholds": ("refine",), "margins": ("reassign",),
    "absent": ("reassign",), "nms_window": ("nms",), "merge_with": ("merge",), "merge_window": ("merge",),
    "alone": ("merge",), "exclude": ("merge",),
}  # fmt: skip
# what a step expects, and what an option does: one of these options
_WANTED = (
    ("gate", ("thresholds", "fit_truth", "leave_one_out")),
    ("refine", ("evidence",)), ("refine", ("refine_thresholds",)),
    ("reassign", ("evidence",)), ("reassign", ("margins",)),
    ("merge", ("merge_with",)),
)  # fmt: skip
_NEEDS = (
    ("leave_one_out", ("truth",)), ("fit_on", ("fit_truth",)), ("fit_games", ("fit_truth",)),
    ("in_sample", ("fit_truth",)), ("fit_evidence", ("fit_on",)), ("fit_evidence", ("evidence",)),
    ("pseudo_events", ("fit_truth", "leave_one_out")), ("kind", ("evidence",)),
)  # fmt: skip
_BY_CLASS = ("thresholds", "refine_thresholds", "margins", "alone")
_INPUTS = ("predictions", "evidence", "merge_with", "truth", "fit_on", "fit_truth", "fit_evidence")


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``postprocess`` to a command line."""
    number = "a number for every class, or a JSON file {class: number}"
    parser = commands.add_parser(
        "postprocess", allow_abbrev=False, help="gate, refine, re-assign, suppress and merge predictions"
    )
    add = parser.add_argument
    add("predictions", type=Path, help="play-by-play JSON with [frame, team, jersey, class, score]")
    add("--out", type=Path, required=True, help="where to write the result")
    add("--steps", required=True, help=f"in this order, with commas: {', '.join(STEPS)}")
    add("--truth", type=Path, help="ground truth: say what each step gained and lost")
    add("--apply", metavar="GAMES", help="only these matches, of every file but those to fit on (all by default)")
    add("--json", type=Path, metavar="OUT", help="write settings, gates, counts and scores as JSON")

    _evidence_options(parser.add_argument_group("evidence for gate, refine and reassign"))
    _gate_options(parser.add_argument_group("gate"), number)
    add = parser.add_argument_group("the other steps").add_argument
    add("--refine-thresholds", help=f"lowest peak that an event moves to: {number}")
    add("--margins", help=f"how far a team-mate must be ahead to be given an event: {number}")
    add("--absent", type=float, help="evidence of a player for whom there is none, 0 for example (he keeps his events)")
    add("--nms-window", type=int, help=f"frames in which one event of a player and class stays ({NMS_WINDOW})")
    add("--merge-with", type=Path, metavar="OTHER", help="predictions of another model")
    add("--merge-window", type=int, help=f"frames between events that are one ({TOLERANCE})")
    add("--alone", help=f"lowest score of an event that one model alone has: {number} (all are kept)")
    add("--exclude", metavar="CLASSES", help="classes in which OTHER is not heard, for example tackle,block")
    parser.set_defaults(run=run_postprocess)


def _evidence_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--evidence", type=Path, help="scored events of a detector (.json) or its logits (.h5, needs --data-root)")
    add("--data-root", type=Path, help="folder in the official layout, where it says who is in a slot of the logits")
    add("--kind", choices=("probability", "logit"), help="what is read from logits (probability)")
    add("--window", type=int, default=TOLERANCE, help="frames to either side of an event (%(default)s)")


def _gate_options(group: argparse._ArgumentGroup, number: str) -> None:
    add = group.add_mutually_exclusive_group().add_argument
    add("--thresholds", help=f"lowest evidence, or score if there is no evidence: {number}")
    add("--fit-truth", type=Path, help="fit thresholds on this ground truth")
    add("--leave-one-out", action="store_true", default=None, help="fit those of each match on the others of --truth")
    add = group.add_argument
    add("--fit-on", type=Path, metavar="PREDICTIONS", help="predictions to fit on (the same file by default)")
    add("--fit-evidence", type=Path, help="evidence for --fit-on (--evidence by default)")
    add("--fit-games", metavar="GAMES", help="matches of --fit-truth to fit on, for example 18,24 (all by default)")
    add("--in-sample", action="store_true", default=None, help="allow a gate on the matches that it was fitted on")
    add("--pseudo-events", type=float, help=f"shrinkage of a fit toward no gate ({PSEUDO_EVENTS:g})")
    add("--missing", choices=("drop", "keep"), help="what becomes of events without evidence (drop)")


def run_postprocess(options: argparse.Namespace) -> None:
    """``postprocess``: take predictions through steps, write the result, and say what each step did.

    Raises
    ------
    FootpassError
        If options do not fit together, a file cannot be read or written or does not fit the others, or a gate was
        fitted on a match that it is to be used on and ``--in-sample`` does not allow that.
    """
    work = _Work.open(options)
    with warnings.catch_warnings(record=True) as caught:  # every step is matched anew, and warns anew
        warnings.simplefilter("always")
        events, outcome = work.run()
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        warnings.warn(text, stacklevel=2)
    write_events(options.out, events, "predictions")
    if options.json:
        write_json(options.json, outcome.record(work))
    print(outcome.text(work.steps))
    print(f"{options.out}: {len(events)} events of {len(events.halves)} halves")


@dataclass(frozen=True, eq=False)
class _Given:
    """Predictions, what a detector says of them, the predictions of another model, and what errors are to name."""

    events: Events
    evidence: Evidence | None
    other: Events | None
    name: str


@dataclass(frozen=True, eq=False)
class _Work:
    """The steps that a command line asks for, and the keywords of the library's function for each."""

    options: argparse.Namespace
    steps: list[str]
    settings: dict[str, dict]
    thresholds: dict[str, float] | None

    @classmethod
    def open(cls, options: argparse.Namespace) -> _Work:
        steps = _steps(options)
        by_class = {name: _class_numbers(getattr(options, name), _flag(name)) for name in _BY_CLASS}
        _check_places(options)
        return cls(options, steps, _settings(options, by_class), by_class["thresholds"])

    def run(self) -> tuple[Events, _Outcome]:
        """The result, and what there is to say of it."""
        options = self.options
        given = self.read(options.predictions, options.evidence, options.merge_with, options.apply)
        truth = None if options.truth is None else _read_games(options.truth, "truth", options.apply, "--apply")
        if truth is not None:
            _check_common(truth, options.truth, given.events, options.predictions)
        stages, accounts, calibration = [given.events], [], None
        for i, name in enumerate(self.steps):
            if name == "gate":
                step, calibration = self.gate(given, truth, self.steps[:i])
            else:
                step = self.take(name, given)
            accounts.append(_account(given.events, step, truth))
            given = replace(given, events=step.events)
            stages.append(given.events)
        scores = [] if truth is None else [evaluate(events, truth) for events in stages]
        return given.events, _Outcome(accounts, calibration, scores)

    def read(
        self,
        predictions: Path,
        evidence: Path | None,
        other: Path | None = None,
        games: str | None = None,
        halves: Sequence[str] | None = None,
    ) -> _Given:
        """Predictions, all or of some matches or halves, and what goes with them."""
        events = _read_games(predictions, "predictions", games, "--apply")
        second = None if other is None else read_events(other, "predictions")
        if second is not None and games is not None:
            second = second.select_games(events.games)
        if halves is not None:
            events, second = events.select(halves), None if second is None else second.select(halves)
        if evidence is None:
            return _Given(events, None, second, str(predictions))
        spoken_of = [events] if second is None else [events, second]
        present = dict.fromkeys(half for one in spoken_of for half in one.table["half"])
        return _Given(events, self._evidence(evidence, present), second, f"{predictions} by {evidence}")

    def _evidence(self, path: Path, halves: Iterable[str]) -> Evidence:
        kind, root = self.options.kind, self.options.data_root
        if path.suffix.lower() not in _LOGITS:
            if kind is not None:
                raise FootpassError(f"{path}: --kind is for logits ({' or '.join(_LOGITS)})")
            return detection_evidence(read_events(path, "predictions"))
        if root is None:
            raise FootpassError(f"{path}: logits are of slots; expected --data-root, which says who is in them")
        with _naming(path):
            return read_logit_evidence(path, map(DataRoot(root).half, halves), **_set(kind=kind))

    def take(self, name: str, given: _Given) -> Step:
        """Any step but the gate."""
        settings = self.settings[name]
        with _naming(given.name):
            if name == "nms":
                return nms_step(given.events, **settings)
            if name == "merge":
                return merge([given.events, given.other], **settings)
            function = {"refine": refine_frames, "reassign": reassign_jerseys}[name]
            return function(given.events, given.evidence, **settings)

    def gate(self, given: _Given, truth: Events | None, earlier: list[str]) -> tuple[Step, dict]:
        """The gate and, in plain values, where its thresholds come from; what given ones have seen, nobody knows."""
        if self.thresholds is not None:
            with _naming(given.name):
                step = gate(given.events, given.evidence, self.thresholds, **self.settings["gate"])
            return step, {"calibration": "given", "in_sample": None, "gates": {"all": {"thresholds": self.thresholds}}}
        gates = self._fitted(given, truth, earlier)
        in_sample = bool(self.options.in_sample)
        with _naming(
            given.name if in_sample or self.options.leave_one_out else f"{given.name}: gate without --in-sample"
        ):
            # no labels are needed to gate, but every match that is written counts as reported
            result = report(gates, given.events, given.evidence, _without_labels(given.events), in_sample)
        return result.step, result.details()

    def _fitted(
        self, given: _Given, truth: Events | None, earlier: list[str]
    ) -> CalibratedGate | dict[int, CalibratedGate]:
        """Gates fitted on events that have been through the earlier steps, as those given have."""
        options, how = self.options, self.settings["gate"] | _set(pseudo_events=self.options.pseudo_events)
        if options.leave_one_out:
            with _naming(given.name):
                return leave_one_match_out(given.events, given.evidence, truth, **how)
        labels = _read_games(options.fit_truth, "truth", options.fit_games, "--fit-games")
        path, other = (options.predictions, options.merge_with) if options.fit_on is None else (options.fit_on, None)
        given = self.read(path, options.fit_evidence or options.evidence, other, halves=labels.halves)
        _check_common(labels, options.fit_truth, given.events, path)
        for name in earlier:
            given = replace(given, events=self.take(name, given).events)
        with _naming(given.name):
            return fit_gate(given.events, given.evidence, labels, **how)


def _without_labels(events: Events) -> Events:
    """Ground truth of the same halves that knows no event."""
    return events.with_table(events.table.iloc[:0])


def _read_games(path: Path, kind: Kind, games: str | None, option: str) -> Events:
    """A play-by-play file, or some matches of it."""
    events = read_events(path, kind)
    if games is None:
        return events
    wanted = parse_games(games, option)
    absent = [game for game in wanted if game not in events.games]
    if absent:
        there = ", ".join(map(str, events.games)) or "none"
        raise FootpassError(f"{path}: has no match {absent[0]}, which {option} names; it has {there}")
    return events.select_games(wanted)


def _check_common(truth: Events, path: Path, events: Events, predictions: Path) -> None:
    if not set(truth.halves) & set(events.halves):
        raise FootpassError(f"{path}: names no half of {predictions}; expected ground truth of these predictions")


# options


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _steps(options: argparse.Namespace) -> list[str]:
    """The steps asked for, when the options suit them."""
    names = [name.strip() for name in options.steps.split(",")]
    for name in names:
        if name not in STEPS:
            raise FootpassError(f"--steps: unknown step {name!r}; expected some of {','.join(STEPS)}")
        if name in _ONCE and names.count(name) > 1:
            raise FootpassError(f"--steps: {name} is there twice; expected it once")
    given = {name for name, value in vars(options).items() if value is not None}
    for option, some in _STEP_OF.items():
        if option in given and not set(some) & set(names):
            raise FootpassError(f"{_flag(option)}: is for {' or '.join(some)}, which --steps {options.steps} has not")
    for step, some in _WANTED:
        if step in names and not given & set(some):
            raise FootpassError(f"--steps: {step} expects {' or '.join(map(_flag, some))}")
    for option, some in _NEEDS:
        if option in given and not given & set(some):
            raise FootpassError(f"{_flag(option)}: expected {' or '.join(map(_flag, some))} with it")
    if options.pseudo_events is not None and not 0 <= options.pseudo_events < math.inf:
        raise FootpassError(f"--pseudo-events: expected a finite number, 0 or more, found {options.pseudo_events}")
    if "fit_on" in given and "merge" in names[: names.index("gate")]:
        raise FootpassError("--fit-on: merge comes before the gate; merge both sets of predictions by themselves first")
    return names


def _class_numbers(text: str | None, option: str) -> dict[str, float] | None:
    """Numbers by class name from one number, or from a JSON file."""
    if text is None:
        return None
    try:
        values, source = dict.fromkeys(EVENT_CLASSES, float(text)), option
    except ValueError:
        try:
            values, source = read_object(Path(text)), text
        except FootpassError as error:
            wanted = f"expected for {option} a number, or a JSON file {{class: number}}"
            raise FootpassError(f"{error}; {wanted}") from error
    for name, value in values.items():
        if type(value) not in (int, float) or not math.isfinite(value):
            raise FootpassError(f"{source}: {name}: expected a finite number, found {str(value)[:30]}")
    with _naming(source):
        class_values(values, 0.0)
    return values


def _settings(options: argparse.Namespace, by_class: Mapping[str, dict[str, float] | None]) -> dict[str, dict]:
    """Keywords of the library's function for each step; what is not given keeps the function's default."""
    excluded = None
    if options.exclude is not None:
        excluded = {1: [name.strip() for name in options.exclude.split(",")]}
        with _naming("--exclude"):
            class_values(dict.fromkeys(excluded[1], 0.0), 0.0)
    return {
        "gate": {"window": options.window} | _set(missing=options.missing),
        "refine": {"thresholds": by_class["refine_thresholds"], "window": options.window},
        "reassign": {"margins": by_class["margins"], "window": options.window} | _set(absent=options.absent),
        "nms": _set(window=options.nms_window),
        "merge": _set(window=options.merge_window, alone=by_class["alone"], excluded=excluded),
    }


def _set(**values) -> dict:
    return {name: value for name, value in values.items() if value is not None}


def _check_places(options: argparse.Namespace) -> None:
    """Refuse to write over what is read."""
    read = [Path(value) for name in (*_INPUTS, *_BY_CLASS) if (value := getattr(options, name)) is not None]
    targets = [path for path in (options.out, options.json) if path is not None]
    for target in targets:
        if any(target.resolve() == path.resolve() for path in read):
            raise FootpassError(f"{target}: is read by this command; expected another file to write")
    if len(targets) == 2 and targets[0].resolve() == targets[1].resolve():
        raise FootpassError(f"{options.out}: is both --out and --json; expected two files")


@contextmanager
def _naming(source: object) -> Iterator[None]:
    """Put the source before the errors that do not speak of it."""
    try:
        yield
    except FootpassError as error:
        prefix = "" if str(error).startswith(str(source)) else f"{source}: "
        raise FootpassError(f"{prefix}{error}") from None


# what is said


def _account(before: Events, step: Step, truth: Events | None) -> pd.DataFrame:
    """Per class and for ``all``: what a step changed and, with ground truth, what that was worth; see ``effect``."""
    before = Events(step.events.halves, before.table)  # names the halves, too, that another model brought
    table = effect(before, step, _without_labels(before) if truth is None else truth)
    return table[_COUNTS if truth is None else _COUNTS + _VERDICTS]


@dataclass(frozen=True, eq=False)
class _Outcome:
    """The account of each step, where the gate's thresholds come from, and the scores as given and after each step."""

    accounts: list[pd.DataFrame]
    calibration: dict | None
    scores: list[Scores]

    def record(self, work: _Work) -> dict:
        """Plain values."""
        options = {
            name: v for name, v in vars(work.options).items() if v is not None and name not in ("command", "run")
        }
        steps = [
            {"step": name, "settings": work.settings[name], "changes": account.to_dict("index")}
            for name, account in zip(work.steps, self.accounts, strict=True)
        ]
        result = {
            "options": {name: str(v) if isinstance(v, Path) else v for name, v in options.items()},
            "steps": steps,
            "gate": self.calibration,
        }
        if self.scores:
            result["scores"] = {"before": self.scores[0].as_dict(), "after": self.scores[-1].as_dict()}
        return result

    def text(self, steps: list[str]) -> str:
        """Tables and totals."""
        summary = pd.DataFrame([account.loc["all"] for account in self.accounts], index=steps)
        lines = [] if self.calibration is None else [_gate_text(self.calibration)]
        if self.scores:
            for name, account in zip(steps, self.accounts, strict=True):
                lines += [f"{name}:", account.to_string(float_format="{:.3f}".format), ""]
            summary = summary.drop(columns=["f1 before", "f1 after"])
        lines += ["what each step did:", summary.to_string(float_format="{:.0f}".format)]
        for name, one in zip(["as given", *steps], self.scores, strict=False):
            lines.append(f"{name}: Macro F1 {one.macro_f1:.4f}, Micro F1 {one.micro_f1:.4f}")
        return "\n".join(lines)


def _gate_text(calibration: dict) -> str:
    """Where thresholds come from, and what they are."""
    thresholds = {name: one["thresholds"] for name, one in calibration["gates"].items()}
    if len(thresholds) > 1 and calibration["calibration"] != "leave one match out":
        thresholds = {"all": next(iter(thresholds.values()))}
    origin = f"thresholds of the gate: {calibration['calibration']}"
    if calibration["in_sample"]:
        origin += "; it was fitted on matches that it is used on here, so that their scores flatter"
    rows = []
    for name, values in thresholds.items():
        listed = ", ".join(f"{label} {value:.4g}" for label, value in values.items()) or "none"
        rows.append(f"  {'all matches' if name == 'all' else f'match {name}'}: {listed}")
    return "\n".join([origin, *rows])
