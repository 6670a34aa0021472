"""What the two JSON descriptors offer is what the tables of the package hold."""

import json

import pytest

from fusionprep.choices import (
    NO_CORRECTION,
    AnalysisLevel,
    Backend,
    ColourMapName,
    Correction,
    Denoising,
    Device,
    Ignored,
    Method,
    MotionCorrection,
    Planes,
    SkullStrip,
    choices,
)
from fusionprep.config import Fusion, Processing, Selection
from fusionprep.config_checks import LIMITS
from fusionprep.modalities import CONTRASTS, MOVED
from fusionprep.models.registry import model_names
from fusionprep.spaces import PACKAGED_TEMPLATE
from fusionprep.suvr_regions import region_names
from tests.platforms.conftest import PLATFORMS

TABLES = {
    "AnalysisLevel": choices(AnalysisLevel),
    "AnatContrast": tuple(modality.label for modality in CONTRASTS),
    "ColourMap": choices(ColourMapName),
    "DenoiseT1w": choices(Denoising),
    "Device": choices(Device),
    "FusionModel": model_names(),
    "Ignore": choices(Ignored),
    "Modalities": tuple(modality.name for modality in MOVED),
    "MotionCorrection": choices(MotionCorrection),
    "Pet2AnatMethod": choices(Method),
    "PartialVolumeCorrection": (NO_CORRECTION, *choices(Correction)),
    "Planes": choices(Planes),
    "RegistrationBackend": choices(Backend),
    "SkullStripT1w": choices(SkullStrip),
}
DEFAULTS = {
    "AnatContrast": Fusion.anat_contrast,
    "ColourMap": Fusion.colour_map,
    "DenoiseT1w": Processing.denoise_t1w,
    "Device": Fusion.device,
    "FusionModel": " ".join(Fusion.models),
    "MaxDayGap": Selection.max_day_gap,
    "Modalities": " ".join(Selection.modalities),
    "MotionCorrection": Processing.hmc,
    "OutputSpaces": " ".join(Processing.output_spaces),
    "Pet2AnatMethod": Processing.pet2anat_method,
    "PartialVolumeCorrection": " ".join(Processing.pvc),
    "Planes": Fusion.planes,
    "RegistrationBackend": Processing.registration_backend,
    "SkullStripT1w": Processing.skull_strip_t1w,
    "SuvrRegion": Processing.suvr_region,
}


@pytest.fixture(params=["boutiques.json", "nipoppy/descriptor.json"])
def inputs(request) -> dict[str, dict]:
    descriptor = json.loads((PLATFORMS / request.param).read_text("utf-8"))
    return {given["id"]: given for given in descriptor["inputs"]}


@pytest.mark.parametrize("name", TABLES)
def test_what_can_be_chosen_is_what_a_table_holds(inputs, name):
    assert inputs[name]["value-choices"] == list(TABLES[name])


@pytest.mark.parametrize("name", DEFAULTS)
def test_defaults_are_those_of_the_configuration(inputs, name):
    assert f"default: {DEFAULTS[name]}" in inputs[name]["description"]


def test_every_region_is_named(inputs):
    # a mask can be given too, so that the descriptor does not close the list
    words = inputs["SuvrRegion"]["description"].replace(",", " ").replace(";", " ").split()
    assert set(region_names()) <= set(words)
    assert PACKAGED_TEMPLATE in words


def test_no_other_choice_is_closed(inputs):
    closed = {name for name, given in inputs.items() if "value-choices" in given}
    assert closed == {*TABLES, "Verbose"}


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("RandomSeed", "random_seed"),
        ("BatchSize", "batch_size"),
        ("MaxDayGap", "max_day_gap"),
        ("NProcs", "nprocs"),
        ("OmpNThreads", "omp_nthreads"),
    ],
)
def test_numbers_are_limited_as_in_the_configuration(inputs, name, option):
    assert (inputs[name]["minimum"], inputs[name]["maximum"]) == LIMITS[option]
