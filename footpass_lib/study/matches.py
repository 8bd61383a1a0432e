"""The data root of a study: the gated archive, one's own, or embedded matches that are made when they are missing."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from footpass_lib.data.dataroot import SPLITS, DataRoot
from footpass_lib.data.video_index import remedy, stored_size
from footpass_lib.environment import cores
from footpass_lib.events.playbyplay import Events, read_events
from footpass_lib.files import file_key, sha256_file
from footpass_lib.schema import VIDEO_SIZE, FootpassError, game_of
from footpass_lib.study.place import DATA_SEED, Study
from footpass_lib.synthetic.build import build

VALIDATION_SEED = 12345  # the clips that the loss is watched on are the same for every seed

_LAYOUT = "data/<split>_tactical_data.h5 or what the archives unpack to"
CACHED_HALVES = 16  # embedded halves are short: a whole split stays in memory


def open_data(study: Study, workers: int | None = None, drop_unassigned: bool = False) -> DataRoot:
    """The data root of a study; synthetic matches are made first, by so many workers, if they are not there yet.

    They are made only where the study keeps its own, or has begun to. FootpassError if a folder that was named holds no
    matches, if the profile needs the gated archive and the folder holds none, if a video is larger than the paper's, or
    as from ``build``; a video of another size than the profile's networks are made for gives a warning.
    ``drop_unassigned`` as in :class:`DataRoot`.
    """
    sizes, path = study.profile.synthetic, study.data_root
    root = DataRoot(path, drop_unassigned=drop_unassigned)
    if root.splits and not is_synthetic(root):
        _check_pictures(study, root)
        return root
    if sizes is None:
        raise FootpassError(
            f"{path}: holds no FOOTPASS archive (expected {_LAYOUT}); the profile {study.profile.name} needs the "
            "gated data, named with --data-root"
        )
    if path.resolve() != study.own_data.resolve() and not is_synthetic(root):
        what = "holds no matches" if path.is_dir() else "there is no such folder"
        raise FootpassError(
            f"{path}: {what}; expected data in the official layout ({_LAYOUT}), or synthetic matches, which "
            f"python -m footpass_lib synth --profile {study.profile.name} --out makes"
        )
    build(path, sizes, DATA_SEED, workers or cores())
    return DataRoot(path, CACHED_HALVES)


def _check_pictures(study: Study, root: DataRoot) -> None:
    sizes = study.profile.synthetic
    wanted = VIDEO_SIZE if sizes is None else (sizes.height, sizes.width)
    option = f" --height {wanted[0]} --width {wanted[1]}" * (wanted != VIDEO_SIZE)
    others = []
    for path in _videos(root):
        height, width = stored_size(path)
        if height * width > VIDEO_SIZE[0] * VIDEO_SIZE[1]:
            found = f"pictures are {height} high and {width} wide; expected {wanted[0]} and {wanted[1]}, for which "
            raise FootpassError(f"{path}: {found}the networks of {study.profile.name} are made; {remedy(path, option)}")
        if wanted not in ((height, width), (width, height)):  # some are stored on their side
            others.append(path)
    if others:
        found = f"pictures are not {wanted[0]} high and {wanted[1]} wide (videos like it: {len(others)}), for which "
        hint = f"the networks of {study.profile.name} are made; {remedy(others[0], option)}"
        warnings.warn(f"{others[0]}: {found}{hint}", stacklevel=3)


def _videos(root: DataRoot) -> Iterator[Path]:
    """The videos that a data root has of the matches of its splits; there may be none, as tables are easier to get."""
    for split in SPLITS:
        with suppress(FootpassError):  # no such split
            for game in dict.fromkeys(game_of(half) for half in root.halves(split)):
                with suppress(FootpassError):  # no such video
                    yield root.video(game)


def detectors_part(study: Study, root: DataRoot) -> DataRoot:
    """The data root with the training matches of the detectors: all of them, or the first half (``stacked``)."""
    return _training_part(study, root, first=True)


def sequence_part(study: Study, root: DataRoot) -> DataRoot:
    """The data root with the training matches of the sequence model: all of them, or the second half (``stacked``)."""
    return _training_part(study, root, first=False)


def _training_part(study: Study, root: DataRoot, first: bool) -> DataRoot:
    """Half of the training matches where the profile is ``stacked``; FootpassError if there is but one then."""
    if not study.profile.stacked:
        return root
    games = list(dict.fromkeys(game_of(half) for half in root.halves("train")))
    if len(games) < 2:
        raise FootpassError(
            f"{root.table_path('train')}: has one match; profile {study.profile.name} trains detectors and sequence "
            "model on different ones, and needs two"
        )
    middle = -(-len(games) // 2)
    return root.limited("train", games[:middle] if first else games[middle:])


def is_synthetic(root: DataRoot) -> bool:
    """Whether a data root holds simulated matches; results on them are called synthetic."""
    return (root.path / "build.json").is_file()


def read_truth(root: DataRoot, split: str) -> Events:
    """Ground truth of a split, from ``playbyplay_GT`` or (the synthetic challenge) ``challenge_truth``."""
    folder = "challenge_truth" if split == "challenge" else "playbyplay_GT"
    return read_events(root.path / folder / f"playbyplay_{split}.json", "truth")


def data_key(root: DataRoot, *splits: str) -> list[object]:
    """What a trained model's key says of its data: short keys of these splits' tables, and which matches are used."""
    return [file_key(root.table_path(split)) for split in splits] + [root.limits]


def hashes(root: DataRoot) -> dict[str, str]:
    """What a record says of the data: the manifest's SHA-256 for synthetic matches, short keys of tables otherwise."""
    if is_synthetic(root):
        return {"manifest.json": sha256_file(root.path / "manifest.json")}
    tables = [root.table_path(split) for split in ("train", "val")]
    return {table.name: file_key(table) for table in tables}
