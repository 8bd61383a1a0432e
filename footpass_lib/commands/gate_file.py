"""Fitted gates (extension 4) as a file, which names the matches that they may not be reported on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from footpass_lib import __version__
from footpass_lib.files import read_object, write_json
from footpass_lib.postprocessing.gates import CalibratedGate
from footpass_lib.postprocessing.steps import is_number
from footpass_lib.schema import EVENT_CLASSES, HALF_NAME, FootpassError

FORMAT = "footpass gate"
EVIDENCE = ("scores", "detections", "probability", "logit")  # what thresholds are compared with


@dataclass(frozen=True)
class GateFile:
    """One gate, or one for each match that was left out; all with the same settings.

    ``evidence`` is one of ``EVIDENCE``, ``pseudo_events`` the shrinkage of the fit, ``steps`` what the predictions had
    been through (``[{"step": name, "settings": {...}}, ...]``), ``library`` the version that fitted.
    """

    gates: tuple[CalibratedGate, ...]
    evidence: str
    pseudo_events: float
    steps: list[dict]
    library: str = __version__

    def choose(self, games: Iterable[int]) -> dict[int, CalibratedGate]:
        """The gate of each match: the only one there is, or of several the one that has not seen the match."""
        chosen = {}
        for game in games:
            unseen = [gate for gate in self.gates if game not in gate.games]
            candidates = self.gates if len(self.gates) == 1 else unseen
            if len(candidates) != 1:
                raise FootpassError(
                    f"{len(candidates)} of {len(self.gates)} gates have not seen match {game}; expected one such gate"
                )
            chosen[game] = candidates[0]
        return chosen

    def write(self, path: Path | str) -> None:
        """Write as JSON."""
        first = self.gates[0]
        content = {"format": FORMAT, "library": self.library, "evidence": self.evidence, "window": first.window}
        content |= {"missing": first.missing, "pseudo_events": self.pseudo_events, "steps": self.steps}
        gates = [{"fitted_on": list(gate.fitted_on), "thresholds": dict(gate.thresholds)} for gate in self.gates]
        write_json(path, content | {"gates": gates})


def read_gates(path: Path) -> GateFile:
    """Read and check a file of :meth:`GateFile.write`; an error names the file and the field."""
    content = read_object(path)
    try:
        return _checked(content)
    except FootpassError as error:
        raise FootpassError(f"{path}: {error}") from None


def _checked(content: dict) -> GateFile:
    found = content.get
    _expect(found("format") == FORMAT, "format", f"{FORMAT!r}, as fit-gate writes it", found("format"))
    _expect(isinstance(found("library"), str), "library", "a version", found("library"))
    _expect(found("evidence") in EVIDENCE, "evidence", f"one of {', '.join(EVIDENCE)}", found("evidence"))
    window, missing, pseudo_events = found("window"), found("missing"), found("pseudo_events")
    _expect(type(window) is int and 0 <= window < 2**31, "window", "a whole number of frames", window)
    _expect(missing in ("drop", "keep"), "missing", "drop or keep", missing)
    _expect(is_number(pseudo_events) and pseudo_events >= 0, "pseudo_events", "a number, 0 or more", pseudo_events)
    steps, gates = found("steps"), found("gates")
    _expect(isinstance(steps, list) and all(map(_is_step, steps)), "steps", "a list of steps with settings", steps)
    _expect(isinstance(gates, list) and len(gates) > 0, "gates", "a list of gates", gates)
    way = "leave one match out" if len(gates) > 1 else "other matches"
    parsed = [CalibratedGate(*_checked_gate(gate, f"gates[{i}]"), way, window, missing) for i, gate in enumerate(gates)]
    return GateFile(tuple(parsed), found("evidence"), pseudo_events, steps, found("library"))


def _checked_gate(gate: object, where: str) -> tuple[dict[str, float], tuple[str, ...]]:
    """Thresholds and halves of one gate."""
    _expect(isinstance(gate, dict), where, "an object", gate)
    halves, thresholds = gate.get("fitted_on"), gate.get("thresholds")
    # without the matches that it was fitted on, nothing could refuse them
    named = isinstance(halves, list) and halves and all(isinstance(h, str) and HALF_NAME.fullmatch(h) for h in halves)
    _expect(bool(named), f"{where}.fitted_on", "names of halves like game_18_H1", halves)
    _expect(isinstance(thresholds, dict), f"{where}.thresholds", "an object {class: number}", thresholds)
    for name, value in thresholds.items():
        _expect(name in EVENT_CLASSES, f"{where}.thresholds", f"classes out of {', '.join(EVENT_CLASSES)}", name)
        _expect(is_number(value), f"{where}.thresholds.{name}", "a finite number", value)
    return thresholds, tuple(halves)


def _expect(good: bool, field: str, expected: str, found: object) -> None:
    if not good:
        raise FootpassError(f"{field}: expected {expected}, found {'nothing' if found is None else str(found)[:40]}")


def _is_step(step: object) -> bool:
    return isinstance(step, dict) and isinstance(step.get("step"), str) and isinstance(step.get("settings"), dict)
