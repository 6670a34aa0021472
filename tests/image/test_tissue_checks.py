"""Whether the tissues of a T1w can be those of a head."""

import numpy as np
import pytest

from fusionprep.image.tissue_checks import check_tissues, verdict_on

RADIUS = np.sqrt(((np.indices((30, 30, 30)) - 14.5) ** 2).sum(axis=0))
DSEG = np.select([RADIUS < 8, RADIUS < 11, RADIUS < 13], [2, 1, 3], 0)
T1W = np.choose(DSEG, [0.0, 500.0, 800.0, 100.0])
VOLUMES = {"GM": 700.0, "WM": 500.0, "CSF": 300.0}


def test_an_adult_head_raises_no_doubt():
    assert check_tissues(T1W, DSEG, VOLUMES, 1500.0) == []
    assert verdict_on([]).verdict == "pass"


@pytest.mark.parametrize(
    ("changes", "brain", "age", "doubt"),
    [
        ({}, 2400.0, None, "the brain's volume of 2400 mL is outside 800 to 2000 mL (adults; the"),
        ({}, 700.0, 40.0, "the brain's volume of 700 mL is outside 800 to 2000 mL"),
        ({"GM": 1200.0}, 1500.0, 70.0, "the volume of gray matter of 1200 mL"),
        ({"WM": 120.0}, 1500.0, 70.0, "the volume of white matter of 120 mL"),
        ({"WM": 50.0}, 1500.0, 9.0, "is outside 60 to 800 mL (a child of 9 years)"),
    ],
)
def test_volumes_outside_their_limits_are_doubtful(changes, brain, age, doubt):
    (found,) = check_tissues(T1W, DSEG, VOLUMES | changes, brain, age)
    assert doubt in found
    assert verdict_on([found]).as_fields() == {"Verdict": "review", "VerdictReason": found}


def test_children_are_judged_as_such():
    volumes = {"GM": 350.0, "WM": 180.0, "CSF": 60.0}
    assert check_tissues(T1W, DSEG, volumes, 600.0, age=0.5) == []
    assert len(check_tissues(T1W, DSEG, volumes, 600.0, age=30)) == 3


def test_an_inverted_image_is_doubtful():
    (found,) = check_tissues(900 - T1W, DSEG, VOLUMES, 1500.0)
    assert "do not rise" in found
    # Segmented by its intensities, its white matter is the fluid around the brain.
    swapped = np.choose(DSEG, [0, 1, 3, 2])
    (found,) = check_tissues(900 - T1W, swapped, VOLUMES, 1500.0)
    assert "no deeper than gray matter" in found


def test_a_missing_tissue_is_named():
    (found,) = check_tissues(T1W, np.where(DSEG == 1, 2, DSEG), VOLUMES, 1500.0)
    assert found == "the T1w has no gray matter"
