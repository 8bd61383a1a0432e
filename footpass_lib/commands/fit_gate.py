"""``python -m footpass_lib fit-gate``: fit a gate on matches, and write down which."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

from footpass_lib.commands import steps
from footpass_lib.commands.gate_file import GateFile
from footpass_lib.postprocessing.gates import PSEUDO_EVENTS, CalibratedGate, fit_gate, leave_one_match_out
from footpass_lib.schema import FootpassError


def add_parser(commands: argparse._SubParsersAction) -> None:
    """Add the command ``fit-gate`` to a command line."""
    parser = commands.add_parser(
        "fit-gate",
        allow_abbrev=False,
        description="Fit, for each class, the lowest evidence (or score, without --evidence) that an event needs to be "
        "kept. The gate file names the matches of the ground truth; postprocess refuses these.",
    )
    steps.add_common_options(parser)
    parser.add_argument("--truth", type=Path, required=True, help="ground truth of the matches to fit on")
    parser.add_argument("--out", type=Path, required=True, help="where to write the gate")
    group = parser.add_argument_group("the fit")
    group.add_argument("--leave-one-out", action="store_true", help="fit a gate for each match, on the other ones")
    group.add_argument("--missing", choices=("drop", "keep"), default="drop", help="what becomes of events without "
                       "evidence (%(default)s)")  # fmt: skip
    group.add_argument("--pseudo-events", type=float, default=PSEUDO_EVENTS, metavar="K", help="shrink toward no gate, "
                       "as if each class had K more events that any gate loses (%(default)s)")  # fmt: skip
    group = parser.add_argument_group("steps before the gate, taken in the order in which they are named")
    steps.add_step_options(group)
    parser.set_defaults(run=run_fit_gate)


def run_fit_gate(options: argparse.Namespace) -> None:
    """``fit-gate``: write a gate, or one for each match left out, and say what was fitted."""
    if not 0 <= options.pseudo_events < float("inf"):
        raise FootpassError(f"--pseudo-events: expected a finite number, 0 or more, found {options.pseudo_events}")
    plan = steps.read_steps(options)
    truth = steps.read_games(options.truth, "truth", options.games)
    given = steps.read_input(options, plan, truth.halves)
    steps.check_common(truth, options, given.events)
    for step in plan:
        given = replace(given, events=step.take(given).events)
    settings = {"window": options.window, "missing": options.missing, "pseudo_events": options.pseudo_events}
    with steps.naming(given.name):
        if options.leave_one_out:
            gates = list(leave_one_match_out(given.events, given.evidence, truth, **settings).values())
        else:
            gates = [fit_gate(given.events, given.evidence, truth, **settings)]
    file = GateFile(tuple(gates), given.evidence_kind, options.pseudo_events, [step.record() for step in plan])
    file.write(options.out)
    print("\n".join(map(describe, gates)))
    print(f"{options.out}: {len(gates)} gate{'s' if len(gates) > 1 else ''} on {file.evidence}")


def describe(gate: CalibratedGate) -> str:
    """The matches and thresholds of a gate in a line."""
    thresholds = ", ".join(f"{name} {value:.4g}" for name, value in gate.thresholds.items()) or "no threshold"
    return f"fitted on {'matches' if len(gate.games) > 1 else 'match'} {', '.join(map(str, gate.games))}: {thresholds}"
