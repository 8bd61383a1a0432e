"""Training on play in which classes are as unbalanced as in real matches, where weights have something to do.

The rendered matches have more tackles than real ones, since few of them would have none. Play that is not rendered
costs a simulation only, so there can be enough of it for rare events to stay rare: :func:`unbalanced_play`. The logits
are drawn from what the study's detectors gave on its own matches: :func:`own_bank`, :func:`train_on_play`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from footpass_lib.data.dataroot import DataRoot
from footpass_lib.models.dst import DST
from footpass_lib.samples.bank import WindowBank, fill_kinds, join_banks
from footpass_lib.samples.drawn import PlayedHalf
from footpass_lib.schema import EVENT_CLASSES, FootpassError
from footpass_lib.study.bank import EPOCH_MINUTES, PLAY_SEED, collect_bank, play_halves, pretrain_dst, pretraining_key
from footpass_lib.study.dst import LogitsFiles
from footpass_lib.study.matches import sequence_part
from footpass_lib.study.place import Study
from footpass_lib.study.plans import DSTPlan
from footpass_lib.study.pretrained import weights_file
from footpass_lib.synthetic.production import SyntheticSizes
from footpass_lib.training.apart import train_apart
from footpass_lib.training.run_folder import is_finished

FEW = 8  # windows of each event, with fewer of which validation matches help out


def own_bank(study: Study, root: DataRoot, logits: LogitsFiles) -> tuple[WindowBank, list[str]]:
    """Windows of all sources of ``logits`` from the study's synthetic matches, and notes on what was lacking.

    They come from the training matches of the sequence model. Where an event has fewer than ``FEW`` windows, those of
    the validation matches join them, on which each detector's epoch was chosen; for what is missing still, see
    ``fill_kinds``. FootpassError if the profile has no synthetic matches.
    """
    sizes, notes = _sizes(study), []
    bank = collect_bank(sequence_part(study, root), "train", logits, sizes)
    if few := [name for name in EVENT_CLASSES if bank.counts[name] < FEW]:
        notes.append(f"windows of validation matches, too: fewer than {FEW} of {', '.join(few)} in the training ones")
        bank = join_banks([bank, collect_bank(root, "val", logits, sizes)])
    bank, borrowed = fill_kinds(bank)
    notes += [f"no window of {name}: those of {other} stand in" for name, other in borrowed.items()]
    return bank, notes


def unbalanced_play(study: Study, minutes: float, seed: int = PLAY_SEED) -> list[PlayedHalf]:
    """So many minutes of matches such as the study's, with the rare classes as rare as in real ones."""
    return play_halves(replace(_sizes(study), rarity=0.0), minutes, seed)


def _sizes(study: Study) -> SyntheticSizes:
    if study.profile.synthetic is None:
        raise FootpassError(f"profile {study.profile.name} has no synthetic matches to play on")
    return study.profile.synthetic


def train_on_play(
    study: Study, bank: WindowBank, halves: Sequence[PlayedHalf], runs: Sequence[tuple[DSTPlan, int, str]]
) -> list[tuple[DST, pd.DataFrame]]:
    """Train sequence models of (plan, seed, name) on drawn logits, side by side, or load them; see ``pretrain_dst``.

    Those of one seed see the same play with the same logits, and start from the same weights: those that come with the
    study, if it starts from them. There is nothing to choose an epoch by, so a model is that of the last one.
    """
    calls = []
    for plan, seed, name in runs:
        start = weights_file(study, "dst" if len(plan.sources) == 1 else "dst-fused")
        key = pretraining_key(plan, bank, halves, start=start)
        folder = study.run(f"{name}-seed{seed}", key, plan.train).folder
        calls.append((plan, bank, halves, seed, folder, EPOCH_MINUTES, (), start))
    train_apart(pretrain_dst, [call for call in calls if not is_finished(call[4])], runs[0][0].train)
    return [pretrain_dst(*call) for call in calls]
