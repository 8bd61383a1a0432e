"""Writing synthetic data: a folder of matches in the official format, resumable match by match."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from footpass_lib.data.tactical import write_tactical
from footpass_lib.events.playbyplay import FIELDS, Events, make_events, write_events
from footpass_lib.files import is_abandoned, read_object, sha256_file, write_json, write_text
from footpass_lib.schema import COLUMN, FootpassError
from footpass_lib.synthetic import production
from footpass_lib.synthetic.production import SPLITS, Job, SyntheticSizes, is_done, make_match, plan
from footpass_lib.workers import one_thread_each

__all__ = ["SPLITS", "SyntheticSizes", "build", "plan"]

FORMAT = 4  # of what is drawn from a seed: data of another number is not continued


def build(out: Path | str, sizes: SyntheticSizes, seed: int, workers: int = 1, progress: bool = True) -> dict:
    """Write a synthetic data root in the official format.

    Below ``data/``: ``{train,val,test,challenge}_tactical_data.h5`` (the challenge without its class column) and
    ``TAAD_sample_list.json``; ``videos/game_<i>.mp4``; ``playbyplay_GT/playbyplay_{train,val,test}.json``; the
    challenge's truth apart, ``challenge_truth/playbyplay_challenge.json``; ``build.json`` with the settings; and,
    written last, ``manifest.json`` with settings, versions and the SHA-256 of every file.

    The bytes depend on the sizes and the seed, not on the number of workers. A build that was stopped goes on with the
    matches that are missing; a finished root is left as it is. Each of the ``workers`` makes one match at a time;
    ``progress`` shows a bar, if the output is a terminal. Returns the manifest. FootpassError if the folder holds
    something else, lacks files that its manifest names, or cannot be written, or a size is impossible.
    """
    out = Path(out)
    jobs = plan(out, sizes, seed)
    settings = {**asdict(sizes), "seed": seed, "format": FORMAT}
    _claim(out, settings)
    manifest_path = out / "manifest.json"
    if not manifest_path.is_file():
        _make_all(jobs, workers, progress)
        files = _assemble(out, jobs)
        write_json(manifest_path, _manifest(out, jobs, settings, files))
    shutil.rmtree(out / "parts", ignore_errors=True)
    manifest = read_object(manifest_path)
    for name in manifest["files"]:
        if not (out / name).is_file():
            raise FootpassError(f"{out / name}: is missing, but {manifest_path} names it; expected a complete folder")
    return manifest


def _claim(out: Path, settings: dict) -> None:
    """Make the folder this build's own; FootpassError if it holds data of other settings, or other files."""
    note = out / "build.json"
    if not note.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise FootpassError(f"{out}: is not empty, and no synthetic data root; expected an empty or new folder")
        write_json(note, settings)
    found = read_object(note)
    if found != settings:
        other = sorted(k for k in settings if found.get(k) != settings[k])
        wanted = ", ".join(f"{k} = {found.get(k)} (asked for: {settings[k]})" for k in other)
        raise FootpassError(f"{out}: holds synthetic data of other settings: {wanted}; expected an empty folder")
    for stray in filter(is_abandoned, out.rglob(".*.part")):  # of a build that was killed while it wrote
        stray.unlink()


def _make_all(jobs: list[Job], workers: int, progress: bool) -> None:
    missing = [job for job in jobs if not is_done(job)]
    total = sum(job.n_frames for job in missing)
    with tqdm(total=total, unit="frame", desc="synthetic matches", disable=None if progress else True) as bar:
        if workers <= 1:
            for job in missing:
                make_match(job, bar.update)
            return
        with one_thread_each(workers) as pool:
            for frames in pool.map(make_match, missing):
                bar.update(frames)


def _assemble(out: Path, jobs: list[Job]) -> list[Path]:
    """Write the files that hold several matches; returns all files of the root but the manifest."""
    files = [job.video for job in jobs]
    matches = {split: [job for job in jobs if job.split == split] for split in SPLITS}
    for split, own in matches.items():
        hidden = split == "challenge"  # its classes stand apart
        files.append(out / "data" / f"{split}_tactical_data.h5")
        write_tactical(files[-1], ((half, rows[:, :-1] if hidden else rows) for half, rows, _ in _halves(own)))
        files.append(out / ("challenge_truth" if hidden else "playbyplay_GT") / f"playbyplay_{split}.json")
        write_events(files[-1], _truth(own), "truth")
    files.append(out / "data" / "TAAD_sample_list.json")
    write_text(files[-1], json.dumps({split: _sample_list(matches[split]) for split in ("train", "val")}))
    return files


def _halves(jobs: list[Job]) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Name, tactical rows and truth events of every half."""
    for job in jobs:
        with np.load(job.part) as part:
            for half in job.halves:
                yield half, part[f"rows_{half}"], part[f"events_{half}"]


def _truth(jobs: list[Job]) -> Events:
    tables = [pd.DataFrame(events, columns=FIELDS["truth"]).assign(half=half) for half, _, events in _halves(jobs)]
    return make_events([half for job in jobs for half in job.halves], pd.concat(tables).to_dict("list"))


def _sample_list(jobs: list[Job]) -> dict[str, list]:
    """Events that a detector's training clips are drawn from: those whose actor has a box.

    Columns are ``events`` (class - 1), ``frames``, ``player_id``, ``games`` (half of each event) and ``end_frames``
    (last frame of that half).
    """
    tables = []
    for half, rows, events in _halves(jobs):
        frame, team, jersey, label, *_ = events[events[:, 4] == 1].T
        table = pd.DataFrame({"events": label - 1, "frames": frame, "player_id": 100 * (team + 1) + jersey % 100})
        tables.append(table.assign(games=half, end_frames=int(rows[:, COLUMN["frame"]].max())))
    return pd.concat(tables).to_dict("list")


def _manifest(out: Path, jobs: list[Job], settings: dict, files: list[Path]) -> dict:
    packages = ("numpy", "scipy", "torch", "av", "h5py")
    return {
        "kind": "synthetic",
        "settings": settings,
        "challenge_shift": {
            "tempo": production.CHALLENGE_TEMPO,
            "class_mix": dict(production.CHALLENGE_MIX),
            "tracking_losses": production.CHALLENGE_LOSSES,
            "look": "other kits, grass, mowing, camera height, zoom, softness, noise and compression",
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "matches": {split: [job.game for job in jobs if job.split == split] for split in SPLITS},
        "files": {file.relative_to(out).as_posix(): sha256_file(file) for file in files},
    }
