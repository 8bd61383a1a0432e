"""Two players in one slot and frame: labels, targets and decoded events all speak of the one who acts."""

from __future__ import annotations

import numpy as np
import pytest

from footpass_lib.data.half import TacticalHalf, dense_half
from footpass_lib.data.logits import background_logits
from footpass_lib.postprocessing.evidence import logit_evidence
from footpass_lib.samples import pixels
from footpass_lib.samples.tokens import ACTION, FRAME, ROLE, dst_half
from footpass_lib.samples.windows import WindowSettings, cut_window
from footpass_lib.spotting.peaks import decode_detections, slot_events

BOX, NO_BOX = (100.0, 200.0, 30.0, 60.0), (np.nan,) * 4
SLOT, FRAME_OF_EVENT = 3, 1010


@pytest.fixture()
def half() -> TacticalHalf:
    """Jersey 13 in slot 3 with a box throughout; in frame 1010 jersey 99 passes from the same slot, without one."""
    rows = [(frame, 113, 0, 13, 4, 0.2, 0.5, 1, 0, *BOX, 0) for frame in range(1000, 1021)]
    rows.append((FRAME_OF_EVENT, 199, 0, 99, 4, 0.8, 0.5, -1, 0, *NO_BOX, 2))
    return dense_half(np.array(rows, np.float32), "game_1_H1")


def listed(events) -> list:
    return events.table[["frame", "team", "jersey", "class"]].to_numpy().tolist()


def test_nobody_is_shown_to_the_detector_and_labels_stay_with_the_actor(half: TacticalHalf):
    at = half.index_of(FRAME_OF_EVENT)
    shown = ~np.isnan(pixels.player_boxes(half, fill_gaps=True)[SLOT, :, 0])
    assert np.flatnonzero(~shown).tolist() == [at]
    assert np.flatnonzero(pixels.dilate(half.class_id, 2, half.jersey)[SLOT]).tolist() == [at]
    assert np.flatnonzero(pixels.dilate(half.class_id, 2)[SLOT]).tolist() == list(range(at - 2, at + 3))


def test_targets_decode_to_the_event_that_they_were_made_of(half: TacticalHalf):
    seen = dst_half(half, background_logits(half.n_frames))
    tokens = cut_window(seen, 0, WindowSettings(window=21)).tokens.numpy()[1:-1]
    events = slot_events(half, tokens[:, FRAME] - 1, tokens[:, ROLE], tokens[:, ACTION] + 1, np.ones(len(tokens)))
    expected = half.events()
    assert listed(events) == expected[["frame", "team", "jersey", "class"]].to_numpy().tolist() == [[1010, 0, 99, 2]]
    assert not expected["has_box"].any()


def test_logits_are_of_the_actor_in_his_frame_and_of_the_other_beside_it(half: TacticalHalf):
    logits = np.array(background_logits(half.n_frames))
    for frame, label in ((1010, 2), (1012, 1)):
        logits[:, SLOT, half.index_of(frame)] = np.eye(9)[label] * 9
    events = decode_detections(logits, half)
    assert listed(events) == [[1010, 0, 99, 2], [1012, 0, 13, 1]]
    peaks = logit_evidence([(half, logits)]).peaks(events, window=12)
    assert np.isnan(peaks.value[0]) and peaks.frame[1] == 1012  # nobody had a box in the frame of the first
