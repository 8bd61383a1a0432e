"""Plans beside the paper's."""

from footpass_lib.study import paper
from footpass_lib.study.deviations import against_paper, flat_settings
from footpass_lib.study.profiles import PROFILES


def test_settings_by_dotted_names():
    flat = flat_settings(paper.TAAD)
    assert flat["model.hidden"] == 512 and flat["model.encoder.roi_size"] == (4, 2)
    assert flat["phases.1.train.batch_size"] == 6 and flat["phases.1.train.learning_rates.head"] == 1e-3


def test_rows_are_the_settings_that_differ():
    table = against_paper(paper.DST, PROFILES["embedded"].dst, ("model.",), "embedded")
    assert list(table.columns) == ["paper", "embedded"] and table.index.str.startswith("model.").all()
    assert table.loc["model.width"].tolist() == ["512", "128"]
    assert table.loc["model.pointer"].tolist() == ["–", "True"], "a setting that the paper's has not"
    assert "model.base" not in table.index, "the same in both"
    assert against_paper(paper.TAAD, PROFILES["full"].taad).empty
