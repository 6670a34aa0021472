"""A cohort written as the App's derivatives in template space, with its truth beside it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from fusionprep._version import __version__
from fusionprep.bids import names, raw_files
from fusionprep.bids.dataset import BIDS_VERSION, CODE_URL
from fusionprep.bids.subject_tables import PARTICIPANTS
from fusionprep.bids.types import ImageFile
from fusionprep.cohort.anatomy import Anatomy, load_anatomy
from fusionprep.cohort.design import Design, Person, draw_people
from fusionprep.cohort.options import THREE_CLASSES
from fusionprep.cohort.people import Images, simulate_person
from fusionprep.cohort.regions import region_columns, region_rows
from fusionprep.cohort.scanners import SCANNERS
from fusionprep.cohort.truth import SEVERITIES, write_truth
from fusionprep.demo.dataset import TRUTH_DIR, require_empty
from fusionprep.demo.sidecars import TEMPLATE_LICENSE
from fusionprep.errors import OutputError
from fusionprep.files import json_text, table_text, write_text
from fusionprep.image.partial_volume.methods import GRAY
from fusionprep.modalities import PET, T1W
from fusionprep.reports.group.regions import write_region_table
from fusionprep.spaces import PACKAGED_TEMPLATE, TemplateSpace
from fusionprep.suvr_regions import WHOLE_BRAIN

TRACER = "18FFDG"
TRACER_FIELDS = {"TracerName": "FDG", "TracerRadionuclide": "F18"}
IGNORED = ("/group_*", "*_morph.*")
"""What is not BIDS."""

README = """# Simulated cohort

People simulated by `fusionprep simulate-cohort`, as if fusionapp had processed them: images in
template space, and tables. Nothing here was measured on a person.

Each has a severity of atrophy, which T1w and gray matter show, and one of hypometabolism, which the
PET shows. `sourcedata/truth` holds both, and how well the classes can be told apart at best. The
PET also shows a little of the atrophy, as real ones do: a voxel of PET with less gray matter in it
is darker.
"""


def write_cohort(
    out: Path, design: Design, *, voxel_size: int = 4, tell: Callable[[str], None] = lambda _: None
) -> list[Person]:
    """Simulate a cohort and write it.

    Parameters
    ----------
    out
        Folder to create; may exist when it is empty.
    voxel_size
        Of all images, whole mm.
    tell
        Called with the label of each subject that is done.

    Returns
    -------
    list of Person
        The truth about each subject.

    Raises
    ------
    OutputError
        When the folder is not empty or cannot be written.
    """
    out = Path(out)
    require_empty(out)
    people = draw_people(design)
    anatomy = load_anatomy(voxel_size)
    try:
        _write_tables(out, people, design)
        write_truth(out, people, design)
        for index, person in enumerate(people):
            # a stream of its own keeps a subject the same in whatever order all are made
            rng = np.random.default_rng([design.seed, 1, index])
            _write_subject(out, anatomy, person, simulate_person(anatomy, person, rng))
            tell(person.label)
        write_region_table(out)
    except OSError as error:
        raise OutputError(f"cannot write the cohort to {out}: {error.strerror}") from error
    return people


def template_space(voxel_size: float) -> TemplateSpace:
    """The space of a cohort."""
    return TemplateSpace(PACKAGED_TEMPLATE, f"{voxel_size:g}")


def pet_names(label: str) -> names.OutputNames:
    """Names of what is made of a subject's PET."""
    entities = {"sub": label, "trc": TRACER}
    suffix = names.BIDS[PET].suffix
    path = Path(names.derivative_path(names.BIDS[PET].datatype, suffix, **entities))
    return names.OutputNames(ImageFile(path, entities, suffix), PET)


def t1w_names(label: str) -> names.OutputNames:
    """Names of what is made of a subject's T1w."""
    entities, suffix = {"sub": label}, names.BIDS[T1W].suffix
    path = Path(names.derivative_path(names.BIDS[T1W].datatype, suffix, **entities))
    return names.OutputNames(ImageFile(path, entities, suffix), T1W)


def space_entities(voxel_size: float) -> dict[str, str]:
    """Entities of images in the space of a cohort."""
    space = template_space(voxel_size)
    return {"space": space.name, "res": space.resolution}


def write_image(
    out: Path,
    path: str,
    array: np.ndarray,
    affine: np.ndarray,
    fields: Mapping[str, Any],
    *,
    dtype: type = np.int16,
    slope: float = 1.0,
) -> None:
    """An image of a cohort, stored as `dtype` times `slope`, and its sidecar."""
    space = template_space(float(affine[0, 0]))
    told = {
        **fields,
        "Sources": [names.own_uri(TRUTH_DIR / SEVERITIES)],
        "Resolution": f"Resolution {space.resolution} of {space.name}",
        "SpatialReference": space.uri,
    }
    image = raw_files.RawImage.rounded(array, affine, dtype, slope=slope, space="mni")
    raw_files.write_image(out / path.removesuffix(names.IMAGE), image, told)


def _write_subject(out: Path, anatomy: Anatomy, person: Person, images: Images) -> None:
    space, affine = space_entities(anatomy.voxel_size), anatomy.grid.affine
    t1w, pet = t1w_names(person.label), pet_names(person.label)
    write_image(
        out,
        t1w(desc=names.PREPROC, **space),
        np.rint(images.t1w),
        affine,
        {"Description": "Preprocessed T1w in template space", "SkullStripped": False},
    )
    write_image(
        out,
        t1w(names.MASK, desc=names.BRAIN, **space),
        images.mask,
        affine,
        {"Description": "Brain mask of the subject in template space", "Type": "Brain"},
        dtype=np.uint8,
    )
    write_image(
        out,
        t1w(names.PROBSEG, label=GRAY, **space),
        images.gm,
        affine,
        {"Description": "Fraction of GM of the subject in template space"},
        dtype=np.uint8,
        slope=1 / 255,
    )
    write_image(
        out,
        pet(desc=names.SUVR, **space),
        images.suvr,
        affine,
        {
            "Description": "Standardised uptake value ratio in template space",
            "Units": "arbitrary",
            "SUVR": {"Region": WHOLE_BRAIN.name},
            "SkullStripped": False,
            **TRACER_FIELDS,
        },
        slope=1e-3,
    )
    table = pet(names.MORPH, names.TABLE, seg="DK")
    rows = region_rows(anatomy, images)
    write_text(out / table, table_text(list(rows[0]), rows))
    described = {
        "Description": "Uptake in the regions of the Desikan-Killiany atlas",
        **TRACER_FIELDS,
        "Sources": [names.own_uri(pet(desc=names.SUVR, **space))],
        **region_columns(),
    }
    write_text(names.sidecar_path(out / table), json_text(described))


def _write_tables(out: Path, people: Sequence[Person], design: Design) -> None:
    write_text(out / "dataset_description.json", json_text(_description(design)))
    write_text(out / "README.md", README)
    write_text(out / ".bidsignore", "".join(f"{name}\n" for name in IGNORED))
    columns = participant_columns(design)
    rows = [
        {
            "participant_id": f"sub-{person.label}",
            "age": str(person.age),
            "sex": person.sex,
            "diagnosis": person.diagnosis,
            "scanner": person.scanner.name,
        }
        for person in people
    ]
    write_text(out / PARTICIPANTS, table_text(list(columns), rows))
    write_text(
        (out / PARTICIPANTS).with_suffix(".json"),
        json_text({"Description": "Simulated people", **columns}),
    )


def _description(design: Design) -> dict[str, Any]:
    command = f"fusionprep simulate-cohort, {asdict(design.strengths)}, seed {design.seed}"
    return {
        "Name": "Simulated cohort",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "License": TEMPLATE_LICENSE,
        "Authors": ["The fusionprep developers", "The authors of the ICBM 152 2009a template"],
        "HowToAcknowledge": "Cite Fonov et al., NeuroImage 2011;54(1):313-327.",
        "GeneratedBy": [
            {
                "Name": "fusionprep simulate-cohort",
                "Version": __version__,
                "CodeURL": CODE_URL,
                "Description": command,
            }
        ],
    }


def participant_columns(design: Design) -> dict[str, dict[str, Any]]:
    """What the columns of the table of participants hold."""
    meanings = dict(
        zip(THREE_CLASSES, ("healthy", "half as ill as patients", "patient"), strict=True)
    )
    return {
        "participant_id": {"Description": "Subject, with prefix"},
        "age": {"Description": "Age, which has nothing to do with the diagnosis", "Units": "year"},
        "sex": {"Description": "Sex", "Levels": {"F": "female", "M": "male"}},
        "diagnosis": {
            "Description": "Class",
            "Levels": {name: meanings[name] for name in design.classes},
        },
        "scanner": {
            "Description": "Scanners of T1w and PET, as many of each in every class",
            "Levels": {scanner.name: scanner.description for scanner in SCANNERS},
        },
    }
