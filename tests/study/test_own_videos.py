"""Videos of one's own are looked at before anything is trained on them."""

import shutil
import warnings
from dataclasses import replace

import numpy as np
import pytest

from footpass_lib.data.encode import VideoWriter
from footpass_lib.schema import VIDEO_SIZE, FootpassError
from footpass_lib.study.matches import open_data
from footpass_lib.study.profiles import PROFILES


def test_the_size_of_ones_own_videos_is_checked_when_they_are_opened(tiny_study, tmp_path):
    shutil.copytree(tiny_study.data_root / "data", tmp_path / "data")
    study = replace(tiny_study, data_root=tmp_path)

    def opened(height, width, study=study):
        game = sorted(path.name for path in (tiny_study.data_root / "videos").iterdir())[0]
        with VideoWriter(tmp_path / "videos" / game, height, width) as writer:
            writer.write(np.zeros((2, height, width, 3), np.uint8))
        return open_data(study)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_data(study)  # no video at all: tables are enough for the sequence model
        opened(128, 224)
        opened(*VIDEO_SIZE, replace(study, profile=PROFILES["full"]))
    with pytest.raises(FootpassError, match="pictures are 540 high and 960 wide; .* --height 128 --width 224` makes"):
        opened(540, 960)
    with pytest.raises(
        FootpassError, match="expected 352 and 640, for which .* full are made; .* --out NEW.mp4` makes"
    ):
        opened(540, 960, replace(study, profile=PROFILES["full"]))
    with pytest.warns(
        UserWarning, match="are not 128 high and 224 wide .videos like it: 1., for which the networks of smoke"
    ):
        opened(*VIDEO_SIZE)
