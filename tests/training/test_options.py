import pytest

from fusionprep.errors import UsageError
from fusionprep.training.options import TrainingOptions, training_options


def test_options_survive_toml(tmp_path):
    options = TrainingOptions(
        epochs=3,
        minutes=2.5,
        seed=7,
        loss_weights={"ssim": 5.0},
        validation_subjects=("01", "sub-02"),
        devices=2,
        data_sources='Our "cohort"',
    )
    (tmp_path / "options.toml").write_text(options.to_toml(), encoding="utf-8")
    assert training_options(tmp_path / "options.toml", {}) == options


def test_the_command_line_comes_before_the_file(tmp_path):
    (tmp_path / "options.toml").write_text("epochs = 3\nseed = 5\n")
    options = training_options(tmp_path / "options.toml", {"epochs": 9, "seed": None})
    assert (options.epochs, options.seed) == (9, 5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epoch = 3", "unknown training option"),
        ("epochs = 3.5", "epochs .* wrong type"),
        ("epochs = true", "epochs .* wrong type"),
        ("minutes = 'ten'", "minutes .* wrong type"),
        ("data_sources = 3", "data_sources .* wrong type"),
        ("epochs = 0", "epochs must be at least 1"),
        ("slice_step = 0", "slice_step must be at least 1"),
        ("validation_share = 1.0", "validation_share must lie between 0 and 1"),
        ("smallest_gain = 0.0", "smallest_gain must lie between 0 and 1"),
        ("validation_subjects = [1]", "validation_subjects .* wrong type"),
        ("loss_weights = {ssim = 'much'}", "loss_weights .* wrong type"),
        ("functional_levels = 'hue'", "functional_levels must be luminance or colormap"),
        ("epochs =", "cannot read the training configuration"),
    ],
)
def test_bad_options_are_refused(tmp_path, text, message):
    (tmp_path / "options.toml").write_text(text)
    with pytest.raises(UsageError, match=message):
        training_options(tmp_path / "options.toml", {})


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UsageError, match=r"none\.toml"):
        training_options(tmp_path / "none.toml", {})
