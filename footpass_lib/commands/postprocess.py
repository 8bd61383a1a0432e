"""``python -m footpass_lib postprocess``: gate, refine, re-assign, suppress and merge the predictions of a file."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from footpass_lib.commands import steps
from footpass_lib.commands.fit_gate import describe
from footpass_lib.commands.gate_file import GateFile, read_gates
from footpass_lib.events.metrics import Scores, evaluate
from footpass_lib.events.playbyplay import Events, write_events
from footpass_lib.files import write_json
from footpass_lib.postprocessing.corrections import gate
from footpass_lib.postprocessing.effects import effect
from footpass_lib.postprocessing.gates import report
from footpass_lib.postprocessing.steps import StepResult
from footpass_lib.schema import FootpassError

_COUNTS = ["events before", "removed", "moved", "re-assigned", "added", "events after"]
_VERDICTS = ["tp lost", "tp gained", "fp removed", "fp added", "f1 before", "f1 after"]


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``postprocess`` to a command line."""
    parser = commands.add_parser("postprocess", allow_abbrev=False)
    steps.add_common_options(parser)
    parser.add_argument("--out", type=Path, required=True, help="where to write the result")
    parser.add_argument("--truth", type=Path, help="say by this ground truth what each step gained and lost")
    parser.add_argument("--json", type=Path, metavar="OUT", help="write settings, gates, counts and scores as JSON")
    group = parser.add_argument_group("steps, taken in the order in which they are named")
    steps.step_option(group, "gate", metavar="GATE", help="keep events that pass the gate of a file of fit-gate, in "
                      "matches that it was not fitted on")  # fmt: skip
    group.add_argument("--in-sample", action="store_true", help="allow matches that the gate was fitted on, and say so")
    steps.step_option(group, "thresholds", metavar="LOWEST", help="keep events whose evidence (or score, without "
                      f"--evidence) reaches LOWEST ({steps.NUMBERS})")  # fmt: skip
    group.add_argument("--thresholds-missing", choices=("drop", "keep"), help="what becomes of events without evidence "
                       "(drop; a gate file has its own rule)")  # fmt: skip
    steps.add_step_options(group)
    parser.set_defaults(run=run_postprocess)


def run_postprocess(options: argparse.Namespace) -> None:
    """``postprocess``: take predictions through steps, write the result, and say what each step did."""
    plan = steps.read_steps(options)
    if not plan:
        raise FootpassError("expected a step or more, for example --gate gate.json or --nms")
    if options.in_sample and not any(step.name == "gate" and step.file for step in plan):
        raise FootpassError("--in-sample: belongs to --gate, which is not there")
    if options.evidence is not None and not {"gate", "refine", "reassign"} & {step.name for step in plan}:
        raise FootpassError("--evidence: is for --gate, --thresholds, --refine or --reassign; none of them is there")
    with warnings.catch_warnings(record=True) as caught:  # every step is matched anew, and warns anew
        warnings.simplefilter("always")
        events, outcome = _run(options, plan)
    for text in dict.fromkeys(str(warning.message) for warning in caught):
        warnings.warn(text, stacklevel=2)
    write_events(options.out, events, "predictions")
    if options.json:
        write_json(options.json, outcome.record(options))
    print(outcome.text())
    print(f"{options.out}: {len(events)} events of {len(events.halves)} halves")


def _run(options: argparse.Namespace, plan: list[steps.PlannedStep]) -> tuple[Events, _Outcome]:
    """The result, and what there is to say of it."""
    given = steps.read_input(options, plan)
    truth = None if options.truth is None else steps.read_games(options.truth, "truth", options.games)
    if truth is not None:
        steps.check_common(truth, options, given.events)
    stages, accounts, calibration = [given.events], [], None
    for i, step in enumerate(plan):
        if step.name == "gate":
            result, calibration = _gate(step, given, plan[:i], options.in_sample)
        else:
            result = step.take(given)
        accounts.append(_account(given.events, result, truth))
        given = replace(given, events=result.events)
        stages.append(given.events)
    scores = [] if truth is None else [evaluate(events, truth) for events in stages]
    return given.events, _Outcome(plan, accounts, calibration, scores)


def _gate(
    step: steps.PlannedStep, given: steps.Input, earlier: Sequence[steps.PlannedStep], in_sample: bool
) -> tuple[StepResult, _Calibration]:
    """The gate, and where its thresholds come from; what given ones have seen, nobody knows."""
    if step.file is None:
        with steps.naming(given.name):
            result = gate(given.events, given.evidence, **step.settings)
        thresholds = step.settings["thresholds"]
        listed = ", ".join(f"{name} {value:.4g}" for name, value in thresholds.items()) or "none"
        plain = {"calibration": "given", "in_sample": None, "gates": {"all": {"thresholds": thresholds}}}
        return result, _Calibration(plain, [f"thresholds of the gate: given: {listed}"])
    file = read_gates(step.file)
    _check_use(file, step.file, given, earlier)
    with steps.naming(step.file):
        gates = file.choose(given.events.games)
    seen = [game for game, chosen in gates.items() if game in chosen.games]
    if seen and not in_sample:
        known = ", ".join(map(str, gates[seen[0]].games))
        raise FootpassError(
            f"{step.file}: was fitted on matches {known}; expected others, found match {seen[0]} (--games chooses "
            "matches, --in-sample allows these)"
        )
    evidence = None if file.evidence == "scores" else given.evidence
    with steps.naming(given.name):  # no labels are needed to gate, but every match that is written counts as reported
        result = report(gates, given.events, evidence, _without_labels(given.events), in_sample)
    source = {"file": str(step.file), "evidence": file.evidence, "library": file.library}
    origin = f"thresholds of the gate: {result.way}"
    if result.in_sample:
        origin += "; it was fitted on matches that it is used on here, so that their scores flatter"
    lines = [f"  match {game}: {describe(chosen)}" for game, chosen in gates.items()]
    return result.step, _Calibration(source | result.details(), [origin, *lines])


def _check_use(file: GateFile, path: Path, given: steps.Input, earlier: Sequence[steps.PlannedStep]) -> None:
    """Refuse other evidence than the gate was fitted on; warn if other steps come before it."""
    if file.evidence not in ("scores", given.evidence_kind):
        raise FootpassError(
            f"{path}: was fitted on {file.evidence}; expected such evidence, found {given.evidence_kind}"
        )
    records = [step.record() for step in earlier]
    if file.steps != json.loads(json.dumps(records)):
        before, now = (" ".join(step["step"] for step in taken) or "no step" for taken in (file.steps, records))
        how = "other settings" if before == now else f"{now} here"
        warnings.warn(f"{path}: the gate was fitted after {before}, and comes after {how}", stacklevel=2)


def _without_labels(events: Events) -> Events:
    """Ground truth of the same halves that knows no event."""
    return events.with_table(events.table.iloc[:0])


def _account(before: Events, result: StepResult, truth: Events | None) -> pd.DataFrame:
    """Per class and for ``all``: what a step changed and, with ground truth, what that was worth; see ``effect``."""
    before = Events(result.events.halves, before.table)  # names the halves, too, that another model brought
    table = effect(before, result, _without_labels(before) if truth is None else truth)
    return table[_COUNTS if truth is None else _COUNTS + _VERDICTS]


@dataclass(frozen=True)
class _Calibration:
    """Where a gate's thresholds come from, as plain values and in words."""

    record: dict
    lines: list[str]


@dataclass(frozen=True, eq=False)
class _Outcome:
    """The account of each step, where the gate's thresholds come from, and the scores as given and after each step."""

    plan: list[steps.PlannedStep]
    accounts: list[pd.DataFrame]
    calibration: _Calibration | None
    scores: list[Scores]

    def record(self, options: argparse.Namespace) -> dict:
        """Plain values."""
        given = {k: v for k, v in vars(options).items() if v is not None and k not in ("command", "run")}
        result = {
            "options": {name: str(value) if isinstance(value, Path) else value for name, value in given.items()},
            "steps": [
                step.record() | {"changes": account.to_dict("index")}
                for step, account in zip(self.plan, self.accounts, strict=True)
            ],
            "gate": None if self.calibration is None else self.calibration.record,
        }
        if self.scores:
            result["scores"] = {"before": self.scores[0].as_dict(), "after": self.scores[-1].as_dict()}
        return result

    def text(self) -> str:
        """Tables and totals."""
        names = [step.name for step in self.plan]
        summary = pd.DataFrame([account.loc["all"] for account in self.accounts], index=names)
        lines = [] if self.calibration is None else list(self.calibration.lines)
        if self.scores:
            for name, account in zip(names, self.accounts, strict=True):
                lines += [f"{name}:", account.to_string(float_format="{:.3f}".format), ""]
            summary = summary.drop(columns=["f1 before", "f1 after"])
        lines += ["what each step did:", summary.to_string(float_format="{:.0f}".format)]
        for name, one in zip(["as given", *names], self.scores, strict=False):
            lines.append(f"{name}: Macro F1 {one.macro_f1:.4f}, Micro F1 {one.micro_f1:.4f}")
        return "\n".join(lines)
