"""The rungs of the ablation that are trained: the sequence model alone, with the graph network's logits, with weights.

Each rung differs from the one before in one setting. Notebooks 06 to 08 train them, the later ones take their events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from footpass_lib import context, detector, sequence
from footpass_lib.config import DSTPlan, Study
from footpass_lib.data import sequence_part
from footpass_lib.dataroot import DataRoot
from footpass_lib.models.dst import DST
from footpass_lib.playbyplay import Events
from footpass_lib.schema import FootpassError
from footpass_lib.sequence import LogitsFiles
from footpass_lib.training import train_apart

RUNGS = ("base", "fused", "weighted")
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

    Those of the graph network in ``train`` are of the sequence model's matches alone: nothing else asks for them.

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
    part = sequence_part(study, root)
    return {
        "taad": {split: files[split] for split in splits},
        "gnn": {
            split: context.detect_in_context(study, part, split, gnn, f"gnn-seed{seed}", features) for split in splits
        },
    }


def train_side_by_side(
    study: Study, root: DataRoot, runs: Sequence[tuple[DSTPlan, int, str]], logits: LogitsFiles
) -> list[tuple[DST, pd.DataFrame]]:
    """Train sequence models, as many at a time as there are cores, with one thread each; finished ones are loaded.

    On a GPU, and where training takes moments, one after the other. All plans have the first one's number of steps.

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
    calls = [(study, root, plan, logits, seed, name) for plan, seed, name in runs]
    train_apart(sequence.train_dst, [call for call in calls if not sequence.is_trained(*call)], runs[0][0].train)
    return [sequence.train_dst(*call) for call in calls]


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
