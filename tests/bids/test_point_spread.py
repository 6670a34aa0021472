"""Where the point spread of a PET is from."""

from pathlib import Path

import numpy as np
import pytest

from fusionprep.bids.point_spread import point_spread
from fusionprep.bids.types import ImageFile
from fusionprep.errors import DataError
from fusionprep.point_spreads import SCANNERS, find_scanner

HR = {"Manufacturer": "Siemens", "ManufacturersModelName": "ECAT EXACT HR+"}
OWN = {"PointSpreadFWHM": [5, 5, 6.5]}


def of(metadata, given=None):
    image = ImageFile(Path("sub-01_pet.nii.gz"), {"sub": "01"}, "pet", metadata)
    return point_spread(image, given)


@pytest.mark.parametrize(
    ("metadata", "given", "fwhm", "source"),
    [
        ({**HR, **OWN}, "6", (6, 6, 6), "given with --psf"),
        ({**HR, **OWN}, None, (5, 5, 6.5), "the sidecar's PointSpreadFWHM"),
        ({"PointSpreadFWHM": 7}, None, (7, 7, 7), "the sidecar's PointSpreadFWHM"),
        (HR, None, (4.3, 4.3, 4.1), "Siemens ECAT EXACT HR+, .* Brix"),
        ({**HR, "PointSpreadFWHM": "5 mm"}, None, (4.3, 4.3, 4.1), "HR+"),
        ({**HR, "PointSpreadFWHM": [5, 5]}, None, (4.3, 4.3, 4.1), "HR+"),
        ({**HR, "PointSpreadFWHM": 0.2}, None, (4.3, 4.3, 4.1), "HR+"),
    ],
)
def test_the_first_that_says(metadata, given, fwhm, source):
    found = of(metadata, given)
    assert found.fwhm == pytest.approx(fwhm)
    assert all(part in found.source for part in source.split(" .* "))


@pytest.mark.parametrize(
    ("kind", "size", "filtered"),
    [
        ("Gaussian", 4, 4),
        (["Gaussian"], [4.0], 4),
        (["Gaussian", "none"], [4.0, 0], 4),
        ("3D Gaussian post", 4, 4),
        ("Shepp", 0.5, 0),
        ("none", None, 0),
        ("Gaussian", [4, 5], 0),
        ("Gaussian", "4 mm", 0),
    ],
)
def test_a_gaussian_filter_adds_to_the_scanner(kind, size, filtered):
    found = of({**HR, "ReconFilterType": kind, "ReconFilterSize": size})
    np.testing.assert_allclose(found.fwhm, np.hypot((4.3, 4.3, 4.1), filtered))
    assert ("filter of 4 mm" in found.source) == (filtered > 0)


@pytest.mark.parametrize("metadata", [{}, {"Manufacturer": "GE", "ManufacturersModelName": "X"}])
def test_nothing_says(metadata):
    with pytest.raises(DataError, match=r"sub-01_pet.nii.gz is not known .* with --psf FWHM"):
        of(metadata)


@pytest.mark.parametrize(
    ("manufacturer", "model", "name"),
    [
        ("SIEMENS", "Biograph64_mCT", "Siemens Biograph mCT"),
        ("Siemens", "Biograph_mMR", "Siemens Biograph mMR"),
        ("CPS", "HRRT", "Siemens HRRT"),
        ("CTI", "HR+", "Siemens ECAT EXACT HR+"),
        ("GE MEDICAL SYSTEMS", "Discovery MI", "GE Discovery MI"),
        ("GE MEDICAL SYSTEMS", "Discovery MI DR", None),
        ("GE MEDICAL SYSTEMS", "Discovery 690", "GE Discovery 690/710"),
        ("GE MEDICAL SYSTEMS", "SIGNA PET/MR", "GE SIGNA PET/MR"),
        ("Philips", "Vereos PET/CT", "Philips Vereos"),
        ("Philips", "GEMINI TF TOF 64", "Philips Gemini TF"),
        ("Siemens", "ECAT HR", None),
    ],
)
def test_scanners_by_the_names_in_sidecars(manufacturer, model, name):
    found = find_scanner(manufacturer, model)
    assert (found and found.name) == name


def test_every_scanner_has_a_source_and_a_plausible_width():
    for scanner in SCANNERS:
        assert len(scanner.source) > 20
        assert all(2 < width < 7 for width in scanner.fwhm)
