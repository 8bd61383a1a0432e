"""The rungs of the ablation that are trained: the sequence model alone, with the graph network's logits, with weights.

Each rung differs from the one before in one setting. Notebooks 06 to 08 train them, the later ones take their events.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import as_completed
from dataclasses import replace

import pandas as pd
import torch

from footpass_lib import context, detector, sequence
from footpass_lib.config import DSTPlan, Study
from footpass_lib.dataroot import DataRoot
from footpass_lib.models.dst import DST
from footpass_lib.playbyplay import Events
from footpass_lib.processes import one_thread_each
from footpass_lib.schema import FootpassError
from footpass_lib.sequence import LogitsFiles

RUNGS = ("base", "fused", "weighted")
_MANY_STEPS = 200  # of training: fewer are done before another process has started
TITLES = {"base": "TAAD+DST", "fused": "+ GNN logit fusion", "weighted": "+ square-root class weights"}


def rung_plan(plan: DSTPlan, rung: str) -> DSTPlan:
    """The plan of a rung, from that of the first.

    Raises
    ------
    FootpassError
        If there is no such rung.
    """
    if rung not in RUNGS:
        raise FootpassError(f"unknown rung {rung!r} of the ablation; expected one of {', '.join(RUNGS)}")
    if rung == "base":
        return plan
    fused = replace(plan, sources=("taad", "gnn"))
    return fused if rung == "fused" else replace(fused, loss=replace(plan.loss, weighting="sqrt"))


def detector_logits(study: Study, root: DataRoot, splits: Sequence[str]) -> LogitsFiles:
    """Logits of the detector and of the graph network over splits, with the study's seed; trained if they are not yet.

    Returns
    -------
    dict
        ``taad`` and ``gnn`` -> split -> file.
    """
    seed, splits = study.seed, list(splits)
    taad, _ = detector.train_taad(study, root, seed)
    cached = study.profile.gnn.cached
    ahead = [split for split in ("train", "val") if cached and split not in splits]  # their features train the graph
    files = {split: detector.detect(study, root, split, taad, f"taad-seed{seed}") for split in [*ahead, *splits]}
    features = detector.features_folder(study, f"taad-seed{seed}") if cached else None
    gnn, _ = context.train_gnn(study, root, seed, features)
    return {
        "taad": {split: files[split] for split in splits},
        "gnn": {
            split: context.detect_in_context(study, root, split, gnn, f"gnn-seed{seed}", features) for split in splits
        },
    }


def train_side_by_side(
    study: Study, root: DataRoot, runs: Sequence[tuple[DSTPlan, int, str]], logits: LogitsFiles
) -> list[tuple[DST, pd.DataFrame]]:
    """Train sequence models, as many at a time as there are cores, with one thread each; finished ones are loaded.

    On a GPU, and where training takes moments, one after the other.

    Parameters
    ----------
    study, root, logits
        As in ``train_dst``.
    runs : sequence of (plan, seed, name)
        What ``train_dst`` is to be called with.

    Returns
    -------
    list of (DST, DataFrame)
        As from ``train_dst``, in the order of the runs.
    """
    steps = max((plan.train.steps_per_epoch or _MANY_STEPS) * plan.train.epochs for plan, *_ in runs)
    todo = [run for run in runs if not sequence.is_trained(study, root, run[0], logits, *run[1:])]
    workers = min(os.cpu_count() or 1, len(todo)) if steps >= _MANY_STEPS else 1
    if workers > 1 and not torch.cuda.is_available():
        with one_thread_each(workers) as pool:
            jobs = [pool.submit(_train, study, root, *run, logits) for run in todo]
            for done in as_completed(jobs):
                done.result()
    return [sequence.train_dst(study, root, plan, logits, seed, name) for plan, seed, name in runs]


def _train(study: Study, root: DataRoot, plan: DSTPlan, seed: int, name: str, logits: LogitsFiles) -> None:
    """``train_dst`` in a process of its own: what it gives cannot be sent back, and is kept in its folder."""
    sequence.train_dst(study, root, plan, logits, seed, name)


def train_rung(
    study: Study, root: DataRoot, rung: str, seeds: Sequence[int], logits: LogitsFiles
) -> list[tuple[DST, pd.DataFrame]]:
    """Models of a rung, one a seed, with their histories; see :func:`train_side_by_side`."""
    plan = rung_plan(study.profile.dst, rung)
    return train_side_by_side(study, root, [(plan, seed, f"dst-{rung}") for seed in seeds], logits)


def rung_events(study: Study, root: DataRoot, rung: str, seed: int, split: str, logits: LogitsFiles) -> Events:
    """Events of a split by a rung's model of one seed, which is trained if it is not yet.

    Parameters
    ----------
    study, root
    rung : str
        One of ``RUNGS``.
    seed : int
        Of the sequence model; the detectors below it have the study's.
    split : str
    logits : mapping
        From :func:`detector_logits`, of ``train``, ``val`` and this split.

    Raises
    ------
    FootpassError
        If there is no such rung, or as in ``train_dst`` and ``detect_dst``.
    """
    plan = rung_plan(study.profile.dst, rung)
    model, _ = sequence.train_dst(study, root, plan, logits, seed, f"dst-{rung}")
    return sequence.detect_dst(study, root, split, model, plan, logits, f"dst-{rung}-seed{seed}")
