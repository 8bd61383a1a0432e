import itertools

import numpy as np
import pytest

from footpass_lib import schema
from footpass_lib.schema import MIRRORS, N_SLOTS, ROLE_ID, FootpassError, mirror_signs, mirror_slots, slot_of


def test_ids_are_those_of_the_files():
    assert schema.CLASS_ID == {
        "background": 0, "drive": 1, "pass": 2, "cross": 3, "throw-in": 4,
        "shot": 5, "header": 6, "tackle": 7, "block": 8,
    }  # fmt: skip
    assert (ROLE_ID["GK"], ROLE_ID["CF"], ROLE_ID["RB"]) == (1, 12, 13)
    assert (slot_of(0, 1), slot_of(1, 13)) == (0, 25)
    assert len(schema.TACTICAL_COLUMNS) == 14 and schema.COLUMN["class"] == 13


@pytest.mark.parametrize("half, expected", [("game_18_H2", (18, 2)), ("game_0_H1", (0, 1))])
def test_half_names(half, expected):
    assert schema.parse_half(half) == expected


@pytest.mark.parametrize("half", ["", "game_1", "game_1_H3", "game_01_H1", "game_1_H1 ", "Game_1_H1", None, 3])
def test_bad_half_names(half):
    with pytest.raises(FootpassError, match="name of a half"):
        schema.parse_half(half)


def test_mirrors_form_a_group_of_four():
    slots = {mirror: mirror_slots(mirror) for mirror in MIRRORS}
    for slot in slots.values():
        assert sorted(slot) == list(range(N_SLOTS))
        assert (slot[slot] == np.arange(N_SLOTS)).all()
    for a, b in itertools.permutations(("x", "y", "xy"), 2):
        (third,) = {"x", "y", "xy"} - {a, b}
        assert (slots[a][slots[b]] == slots[third]).all()
        assert np.multiply(mirror_signs(a), mirror_signs(b)).tolist() == list(mirror_signs(third))


def test_mirrors_move_players_as_a_mirror_does():
    def names(mirror, team, role):
        slot = mirror_slots(mirror)[slot_of(team, ROLE_ID[role])]
        return int(slot // 13), schema.ROLES[slot % 13 + 1]

    assert names("x", 0, "LB") == (1, "RB")
    assert names("y", 0, "LB") == (0, "RB")
    assert names("xy", 0, "LB") == (1, "LB")
    assert names("y", 1, "LCB") == (1, "RCB")
    assert names("x", 0, "GK") == (1, "GK")
    assert names("y", 1, "RW") == (1, "LW") and names("y", 0, "LM") == (0, "RM")


def test_unknown_mirror():
    with pytest.raises(FootpassError, match="unknown mirror"):
        mirror_slots("z")
    with pytest.raises(FootpassError, match="unknown mirror"):
        mirror_signs("z")
