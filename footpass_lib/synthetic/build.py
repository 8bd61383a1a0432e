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
from tqdm import tqdm

from footpass_lib.data.tactical import write_tactical
from footpass_lib.events.playbyplay import FIELDS, make_events, write_events
from footpass_lib.files import is_abandoned, read_object, sha256_file, write_json, write_text
from footpass_lib.schema import COLUMN, FootpassError
from footpass_lib.synthetic.production import (
    CHALLENGE_LOSSES,
    CHALLENGE_MIX,
    CHALLENGE_TEMPO,
    SPLITS,
    Job,
    SyntheticSizes,
    is_done,
    make_match,
    plan,
)
from footpass_lib.workers import one_thread_each

__all__ = ["SPLITS", "SyntheticSizes", "build", "plan"]

FORMAT = 3  # of what is drawn from a seed: data of another number is not continued


def _rows(jobs: list[Job]) -> Iterator[tuple[str, np.ndarray]]:
    for job in jobs:
        with np.load(job.part) as part:
            for half in job.halves:
                rows = part[f"rows_{half}"]
                yield half, rows[:, :-1] if job.split == "challenge" else rows


def _write_truth(path: Path, jobs: list[Job]) -> None:
    halves, columns = [], {name: [] for name in ("half", *FIELDS["truth"])}
    for job in jobs:
        with np.load(job.part) as part:
            for half in job.halves:
                events = part[f"events_{half}"]
                halves.append(half)
                columns["half"] += [half] * len(events)
                for name, values in zip(FIELDS["truth"], events.T, strict=True):
                    columns[name] += values.tolist()
    write_events(path, make_events(halves, columns), "truth")


def sample_list(jobs: list[Job]) -> dict[str, list]:
    """Events that a detector's training clips are drawn from: those whose actor has a box.

    Returns
    -------
    dict of list
        ``events`` (class - 1), ``frames``, ``player_id``, ``games`` (half of each event), ``end_frames`` (last frame
        of that half).
    """
    listed: dict[str, list] = {name: [] for name in ("events", "frames", "player_id", "games", "end_frames")}
    for job in jobs:
        with np.load(job.part) as part:
            for half in job.halves:
                rows, events = part[f"rows_{half}"], part[f"events_{half}"]
                boxed = events[events[:, 4] == 1]
                listed["events"] += (boxed[:, 3] - 1).tolist()
                listed["frames"] += boxed[:, 0].tolist()
                listed["player_id"] += (100 * (boxed[:, 1] + 1) + boxed[:, 2] % 100).tolist()
                listed["games"] += [half] * len(boxed)
                listed["end_frames"] += [int(rows[:, COLUMN["frame"]].max())] * len(boxed)
    return listed


def _assemble(out: Path, jobs: list[Job]) -> list[Path]:
    """Write the files that hold several matches; returns all files of the root but the manifest."""
    files = [job.video for job in jobs]
    for split in SPLITS:
        own = [job for job in jobs if job.split == split]
        files.append(out / "data" / f"{split}_tactical_data.h5")
        write_tactical(files[-1], _rows(own))
        folder = "challenge_truth" if split == "challenge" else "playbyplay_GT"
        files.append(out / folder / f"playbyplay_{split}.json")
        _write_truth(files[-1], own)
    files.append(out / "data" / "TAAD_sample_list.json")
    lists = {split: sample_list([job for job in jobs if job.split == split]) for split in ("train", "val")}
    write_text(files[-1], json.dumps(lists))
    return files


def _claim(out: Path, settings: dict) -> None:
    """Make the folder this build's own, or refuse it.

    Raises
    ------
    FootpassError
        If it holds data of other settings, or files that are not a build's.
    """
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


def build(out: Path | str, sizes: SyntheticSizes, seed: int, workers: int = 1, progress: bool = True) -> dict:
    """Write a synthetic data root in the official format.

    Below ``data/``: ``{train,val,test,challenge}_tactical_data.h5`` (the challenge without its class column) and
    ``TAAD_sample_list.json``; ``videos/game_<i>.mp4``; ``playbyplay_GT/playbyplay_{train,val,test}.json``; the
    challenge's truth apart, ``challenge_truth/playbyplay_challenge.json``; ``build.json`` with the settings; and,
    written last, ``manifest.json`` with settings, versions and the SHA-256 of every file.

    The bytes depend on the sizes and the seed, not on the number of workers. A build that was stopped goes on with the
    matches that are missing; a finished root is left as it is.

    Parameters
    ----------
    out : path
    sizes : SyntheticSizes
    seed : int
    workers : int
        Processes, one match at a time each.
    progress : bool
        Show a progress bar, if the output is a terminal.

    Returns
    -------
    dict
        The manifest.

    Raises
    ------
    FootpassError
        If the folder holds something else, lacks files that its manifest names, or cannot be written, or a size is
        impossible.
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


def _manifest(out: Path, jobs: list[Job], settings: dict, files: list[Path]) -> dict:
    packages = ("numpy", "scipy", "torch", "av", "h5py")
    return {
        "kind": "synthetic",
        "settings": settings,
        "challenge_shift": {
            "tempo": CHALLENGE_TEMPO, "class_mix": dict(CHALLENGE_MIX), "tracking_losses": CHALLENGE_LOSSES,
            "look": "other kits, grass, mowing, camera height, zoom, softness, noise and compression",
        },
        "versions": {"python": platform.python_version()} | {name: version(name) for name in packages},
        "matches": {split: [job.game for job in jobs if job.split == split] for split in SPLITS},
        "files": {file.relative_to(out).as_posix(): sha256_file(file) for file in files},
    }  # fmt: skip
