"""A few people of a cohort as raw BIDS, whole heads for the App to process."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from fusionprep.cohort.anatomy import CSF_WEIGHT
from fusionprep.cohort.dataset import participant_columns
from fusionprep.cohort.design import Design, Person, draw_people
from fusionprep.cohort.scanners import Scanner
from fusionprep.cohort.truth import write_truth
from fusionprep.demo import dataset
from fusionprep.demo.disease import Severities, load_patterns
from fusionprep.demo.scanner import FILTER_FWHM_MM
from fusionprep.demo.subject import Traits, load_template

WEIGHT_KG, HEIGHT_M = 72.0, 1.7
SIZE_SD, TILT_DEGREES = 0.03, 6.0


def write_whole(
    out: Path,
    design: Design,
    *,
    voxel_size: float = 1.0,
    tell: Callable[[str], None] = lambda _: None,
) -> list[Person]:
    """Write people of a cohort as T1w, PET and the other scans of the demo.

    They have the same ages, classes, scanners and severities as those that
    :func:`fusionprep.cohort.dataset.write_cohort` writes in template space, but shapes of their
    own; of the T1w's resolution only its noise follows the scanner.

    Parameters
    ----------
    out
        Folder to create; may exist when it is empty.
    voxel_size
        Of the T1w, mm.
    tell
        Called with the label of each who is done.

    Raises
    ------
    OutputError
        When the folder is not empty or cannot be written.
    """
    people = draw_people(design)
    template = load_template()
    patterns = load_patterns(template.affine, template.t1w.shape)
    heads = {
        person.label: _head(person, np.random.default_rng([design.seed, 2, index]))
        for index, person in enumerate(people)
    }
    described = participant_columns(design)
    dataset.write_people(
        out,
        heads,
        replace(template, patterns=patterns),
        seed=design.seed,
        voxel_size=voxel_size,
        columns={name: described[name] for name in ("diagnosis", "scanner")},
        tell=tell,
    )
    write_truth(out, people, design)
    return people


def _head(person: Person, rng: np.random.Generator) -> dataset.Person:
    scale = tuple(float(value) for value in rng.normal(1.0, SIZE_SD, 3))
    traits = Traits(
        scale=(scale[0], scale[1], scale[2]),
        csf_weight=CSF_WEIGHT,
        tilt_degrees=TILT_DEGREES,
        severities=Severities(person.atrophy, person.hypometabolism),
    )
    return dataset.Person(
        age=person.age,
        sex=person.sex,
        weight_kg=WEIGHT_KG,
        height_m=HEIGHT_M,
        traits=traits,
        frames=dataset.STATIC,
        detector_fwhm_mm=_detector_fwhm(person.scanner),
        t1w_noise=person.scanner.t1w_noise,
        more={"diagnosis": person.diagnosis, "scanner": person.scanner.name},
    )


def _detector_fwhm(scanner: Scanner) -> float:
    """Blur by the detector, mm; the filter of the reconstruction adds the rest."""
    return float(np.sqrt(scanner.pet_fwhm**2 - FILTER_FWHM_MM**2))
