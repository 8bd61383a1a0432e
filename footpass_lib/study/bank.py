"""The sequence model learns from hours of play that was never rendered, with logits drawn from a bank.

Three steps: :func:`collect_bank` from rendered matches that the detectors have not learned from, :func:`play_halves`,
and :func:`pretrain_dst`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from torch import nn

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.data.known import KnownHalf
from footpass_lib.data.logits import read_logits
from footpass_lib.environment import cores
from footpass_lib.files import key_of, sha256_file
from footpass_lib.models.dst import DST
from footpass_lib.models.pointer_dst import build_dst
from footpass_lib.samples.bank import WindowBank, collect_windows, join_banks
from footpass_lib.samples.drawn import EAGERNESS, PlayedHalf, draw_epoch, played_half
from footpass_lib.samples.tokens import DSTHalf
from footpass_lib.samples.windows import DSTWindows
from footpass_lib.schema import FPS, FootpassError
from footpass_lib.study import dst
from footpass_lib.study.dst import LogitsFiles
from footpass_lib.study.place import DATA_SEED
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.pretrained import start_from
from footpass_lib.synthetic import production
from footpass_lib.synthetic.production import Job, SyntheticSizes, simulate
from footpass_lib.synthetic.unfilmed import as_known, known_half, play_unfilmed
from footpass_lib.training.dst_loss import DSTLoss
from footpass_lib.training.fit import fit
from footpass_lib.workers import one_thread_each

PLAY_SEED = 1000  # of play that is not rendered, apart from the seeds of data
EPOCH_MINUTES = 200.0  # of play whose logits are drawn for an epoch: 0.4 GB, and 0.7 GB of pooled inputs


def collect_bank(
    root: DataRoot, split: str, logits: LogitsFiles, sizes: SyntheticSizes, seed: int = DATA_SEED
) -> WindowBank:
    """Windows of all sources (source -> split -> file) from the halves of a split of a rendered data root.

    What the simulator knows of them is simulated again from ``sizes`` and ``seed``, those that the root was built with.
    The root is limited to matches that no detector has learned from, such as ``matches.sequence_part`` gives.
    FootpassError if a file or half is missing, or the root was built from other settings.
    """
    files = {source: dst.logits_file(logits, source, split) for source in logits}
    banks = []
    for known in known_halves(root, split, sizes, seed):
        half = known.tactical
        values = {source: read_logits(path, half.half, half.frames) for source, path in files.items()}
        banks.append(collect_windows(known, values))
    return join_banks(banks)


def known_halves(root: DataRoot, split: str, sizes: SyntheticSizes, seed: int = DATA_SEED) -> Iterator[KnownHalf]:
    """The halves of a split of a rendered data root, with what the simulator knows of them; as in `collect_bank`.

    FootpassError, at the end, unless all halves are of these sizes and this seed.
    """
    wanted, found = set(root.halves(split)), 0
    for job in production.plan(root.path, sizes, seed):
        for play in simulate(job, job.generators()) if wanted & set(job.halves) else ():
            if play.half in wanted:
                found += 1
                yield known_half(play, root.half(play.half))
    if found != len(wanted):
        raise FootpassError(f"{root.path}: {found} of {len(wanted)} halves of {split} are of these sizes and seed")


def play_halves(
    sizes: SyntheticSizes,
    minutes: float,
    seed: int = PLAY_SEED,
    fill_gaps: bool = True,
    workers: int | None = None,
) -> list[PlayedHalf]:
    """So many minutes of play, in matches such as those of ``sizes`` for training, ready for drawing.

    ``fill_gaps`` as in the detectors' inference settings. Half a second of one core, and half a megabyte, a minute.
    """
    jobs = [job for job in production.plan("unfilmed", replace(sizes, train=minutes), seed) if job.split == "train"]
    calls, workers = (_play, jobs, [fill_gaps] * len(jobs)), min(workers or cores(), len(jobs))
    if workers == 1:
        return [half for both in map(*calls) for half in both]
    with one_thread_each(workers) as pool:
        return [half for both in pool.map(*calls) for half in both]


def _play(job: Job, fill_gaps: bool) -> list[PlayedHalf]:
    return [played_half(as_known(half), fill_gaps) for half in play_unfilmed(job)]


def pretrain_dst(
    plan: DSTPlan,
    bank: WindowBank,
    halves: Sequence[PlayedHalf],
    seed: int,
    folder: Path | str | None = None,
    minutes: float = EPOCH_MINUTES,
    watched: Sequence[DSTHalf] = (),
    start: Path | None = None,
) -> tuple[DST, pd.DataFrame]:
    """Train the sequence model on drawn logits; a run that was stopped goes on in its ``folder``, see ``fit``.

    It begins with random weights of the seed, or with those of the file ``start`` (see ``pretrained``).

    Every epoch sees other ``minutes`` of the halves, with new logits; the plan says how many epochs and steps there
    are, and which of the bank's sources the model reads. The model, in evaluation mode, comes with the weights of the
    lowest loss over the ``watched`` halves (real ones, see ``dst.load_halves``), of the last epoch if there are none;
    the history with one row an epoch.
    """
    loss = DSTLoss(plan.loss, dst.class_counts(halves), plan.model.windows.frames_per_token)
    number = _halves_an_epoch(halves, minutes)

    def windows(epoch: int) -> DSTWindows:
        drawn = draw_epoch(bank, halves, seed, epoch, number, plan.sources)
        return dst.random_windows(dst.keep_for_training(drawn, plan), plan, seed, epoch)

    validation = dst.every_window(watched, plan) if watched else None

    def validate(model: nn.Module) -> float:
        return dst.loss_over(model, loss, validation)

    model = build_dst(plan.network, seed)
    if start is not None:
        start_from(start, model)
    result = fit(
        model,
        windows,
        lambda epoch: loss,
        replace(plan.train, seed=seed),
        folder,
        validate if watched else None,
        {"key": pretraining_key(plan, bank, halves, minutes, watched, start)},
    )
    return result.model, result.history


def _halves_an_epoch(halves: Sequence[PlayedHalf], minutes: float) -> int:
    return max(1, round(minutes * 60 * FPS * len(halves) / sum(half.n_frames for half in halves)))


def pretraining_key(
    plan: DSTPlan,
    bank: WindowBank,
    halves: Sequence[PlayedHalf],
    minutes: float = EPOCH_MINUTES,
    watched: Sequence[DSTHalf] = (),
    start: Path | None = None,
) -> str:
    """A key of all that :func:`pretrain_dst` depends on but the seed, which is among the settings of training."""
    depends = [_bank_key(bank), _play_key(halves), _play_key(watched), EAGERNESS]
    if start is not None:
        depends.append(sha256_file(start))
    return key_of(replace(plan, decode=None), _halves_an_epoch(halves, minutes), tuple(depends))


def _bank_key(bank: WindowBank) -> list[str]:
    return [*bank.sources, *(_hash(array) for array in (bank.logits, bank.kind, bank.reach))]


def _play_key(halves: Sequence[PlayedHalf | DSTHalf]) -> list[list[str]]:
    """Names of halves, and hashes of their events."""
    return [[half.half, _hash(half.events)] for half in halves]


def _hash(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array)).hexdigest()
