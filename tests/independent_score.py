"""A second reading of the evaluation protocol: scores a prediction JSON with the standard library alone.

``python tests/independent_score.py PREDICTIONS TRUTH [GAMES]`` prints Macro F1, Micro F1 and F1 per class. It shares no
code with ``footpass_lib`` and looks at the events from the other side: each event of the ground truth keeps a list of
who may claim it.
"""

import json
import sys
from pathlib import Path

CLASSES = ["drive", "pass", "cross", "throw-in", "shot", "header", "tackle", "block"]
SMALLEST_SCORE, TOLERANCE = 0.15, 12


def count_half(claims: list, events: list) -> tuple[dict, dict, dict]:
    """True positives, claims and events of one half, each by class number."""
    taken, right, made, real = set(), {}, {}, {}
    for event in events:
        real[event[3]] = real.get(event[3], 0) + 1
    valid = [claim for claim in claims if claim[4] >= SMALLEST_SCORE]
    for frame, team, jersey, number, _ in sorted(valid, key=lambda claim: claim[4], reverse=True):  # sorting is stable
        made[number] = made.get(number, 0) + 1
        reachable = [
            (abs(frame - event[0]), place)
            for place, event in enumerate(events)
            if place not in taken and event[1:4] == [team, jersey, number] and abs(frame - event[0]) <= TOLERANCE
        ]
        if reachable:
            taken.add(min(reachable)[1])
            right[number] = right.get(number, 0) + 1
    return right, made, real


def score_files(predictions: Path, truth: Path, games: set[int] | None = None) -> dict[str, float]:
    """Macro F1, Micro F1 and the F1 of each class; a half without predictions counts as missed."""
    claims, events = (json.loads(Path(path).read_text())["events"] for path in (predictions, truth))
    totals = [[0, 0, 0] for _ in CLASSES]
    for half in events:
        if games is not None and int(half.split("_")[1]) not in games:
            continue
        for place, counts in enumerate(count_half(claims.get(half, []), events[half])):
            for number, count in counts.items():
                totals[number - 1][place] += count
    f1 = [2 * right / (made + real) if made + real else 0.0 for right, made, real in totals]
    right, made, real = (sum(column) for column in zip(*totals, strict=True))
    both = {"macro_f1": sum(f1) / len(f1), "micro_f1": 2 * right / (made + real) if made + real else 0.0}
    return both | dict(zip(CLASSES, f1, strict=True))


if __name__ == "__main__":
    wanted = {int(game) for game in sys.argv[3].split(",")} if len(sys.argv) > 3 else None
    print(json.dumps(score_files(Path(sys.argv[1]), Path(sys.argv[2]), wanted)))
