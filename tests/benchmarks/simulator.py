"""How the simulator's play compares with real matches: the record that docs/simulator.md is rendered from.

Run by hand: ``python -m tests.benchmarks.simulator``. It plays the very matches of the embedded profile (training,
validation and test) without filming them, once as they are and once with classes as rare as in real matches.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from footpass_lib.book import cards
from footpass_lib.events import public, statistics
from footpass_lib.events.playbyplay import FIELDS, Events, make_events
from footpass_lib.files import write_json
from footpass_lib.study import results
from footpass_lib.study.place import DATA_SEED, open_study
from footpass_lib.synthetic.production import SyntheticSizes, plan
from footpass_lib.synthetic.tracking import truth_events
from footpass_lib.synthetic.unfilmed import play_unfilmed

SPLITS = ("train", "val", "test")  # the challenge's matches are of another kind on purpose
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
WINDOW = 30.0  # seconds


def played_truth(sizes: SyntheticSizes, seed: int, splits: tuple[str, ...] = SPLITS) -> Events:
    """Events of the matches that ``build`` makes with these sizes and this seed, without their videos."""
    halves, tables = [], []
    for job in plan(Path(), sizes, seed):
        if job.split in splits:
            for half in play_unfilmed(job):
                events = truth_events(half.play, half.tracks, half.broadcast)
                tables.append(pd.DataFrame(events, columns=FIELDS["truth"]).assign(half=half.play.half))
                halves.append(half.play.half)
    return make_events(halves, pd.concat(tables).to_dict("list"))


def rhythm(events: Events) -> dict[str, float]:
    """Quantiles of the frames between two events, and events in windows of 30 seconds."""
    gaps, windows = statistics.consecutive(events)["gap"], statistics.window_counts(events, WINDOW)
    values = {f"{q:.0%} of gaps": float(gaps.quantile(q)) for q in QUANTILES}
    return values | {"events in 30 s": float(windows.mean()), "empty windows": float((windows == 0).mean())}


def main() -> None:
    study = open_study("embedded")
    sizes, files = study.profile.synthetic, public.find(study.public_root, study.project)
    sources = {
        "real": files.train_truth,
        "embedded": played_truth(sizes, DATA_SEED),
        "embedded, rarity 0": played_truth(replace(sizes, rarity=0.0), DATA_SEED),
    }
    by_class, grammars = statistics.compare(sources)
    content = {
        "what": "48 real training matches beside those of the embedded profile, played without being filmed",
        "sizes": asdict(sizes),
        "seed": DATA_SEED,
        "minutes": sum(getattr(sizes, split) for split in SPLITS),
        "events": {name: len(events) for name, events in sources.items()},
        "classes": {name: {rate: by_class[rate, name].to_dict() for rate in statistics.RATES} for name in sources},
        "grammar": grammars.T.to_dict(),
        "rhythm": {name: rhythm(events) for name, events in sources.items()},
        "data": {public.TRAIN_TRUTH: files.hashes[public.TRAIN_TRUTH]},
        "versions": results.versions(),
    }
    path = study.reports / "metrics" / cards.SIMULATOR
    write_json(path, content)
    print(f"{path}: {content['events']}")


if __name__ == "__main__":
    main()
