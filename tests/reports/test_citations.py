import itertools
import re

import nibabel as nib
import numpy as np
import pytest

from fusionprep.bids.types import ImageFile, SubjectPlan
from fusionprep.config import Config
from fusionprep.modalities import CT, FLAIR, PET
from fusionprep.models.registry import model_names
from fusionprep.reports.citations import CITATION, read_bibliography, write_citations
from fusionprep.workflows.methods import Stage, methods_text
from tests.app.said import methods
from tests.bids.skeleton import pair


def test_bibliography_is_complete():
    library = read_bibliography()
    assert "nipype" in library
    for key, entry in library.items():
        assert entry.startswith("@")
        assert entry.endswith("}")
        assert entry.count("{") == entry.count("}")
        for field in ("author", "title", "year"):
            assert re.search(rf"^  {field} = \{{.+\}},?$", entry, re.MULTILINE), (key, field)


def test_text_references_and_bibliography(tmp_path):
    write_citations("Made with *Nipype* [@nipype].\nAs @hmrf\nsaid [@nipype].\n", tmp_path)
    markdown = (tmp_path / "CITATION.md").read_text("utf-8")
    assert (
        "Made with *Nipype* (Gorgolewski et al., 2011). As Zhang et al. (2001) said"
        " (Gorgolewski et al., 2011)." in markdown
    )
    references = markdown.split("## References\n\n")[1].splitlines()
    assert len(references) == 2
    assert references[0].startswith("- Gorgolewski, Krzysztof; Burns")
    assert references[0].endswith("https://doi.org/10.3389/fninf.2011.00013")
    assert "et al." in references[0]
    assert ", 20:45–57." in references[1]
    bibliography = (tmp_path / "CITATION.bib").read_text("utf-8")
    assert bibliography.count("@article{") == 2


def test_citations_side_by_side_share_their_brackets(tmp_path):
    write_citations("(by means [@nlm]\n[@nlm_mri], here) (and there)\n\nNext.", tmp_path)
    markdown = (tmp_path / "CITATION.md").read_text("utf-8")
    assert "(by means (Buades et al., 2011; Coupe et al., 2008), here) (and there)" in markdown
    assert "there)\n\nNext." in markdown


def test_every_reference_reads_well(tmp_path):
    keys = read_bibliography()
    write_citations(" ".join(f"[@{key}]" for key in keys), tmp_path)
    references = (tmp_path / "CITATION.md").read_text("utf-8").split("## References")[1]
    assert not re.search(r"[{}\\]|others|\(\)|, ,|\. \.", references)


def test_an_unknown_key_is_a_mistake_of_the_program(tmp_path):
    with pytest.raises(KeyError, match="nobody"):
        write_citations("x [@nobody]", tmp_path)
    assert list(tmp_path.iterdir()) == []


def plan(raw) -> SubjectPlan:
    def image(folder: str, name: str) -> ImageFile:
        path = raw / "sub-01" / folder / f"sub-01_{name}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2), np.float32), np.eye(4)), path)
        return ImageFile(path, {"sub": "01"}, name, {}, (2, 2, 2), (1.0, 1.0, 1.0))

    t1w = image("anat", "T1w")
    moving = ((PET, "pet", "pet"), (CT, "ct", "ct"), (FLAIR, "anat", "FLAIR"))
    return SubjectPlan(
        "01",
        tuple(pair(modality, image(folder, name), t1w) for modality, folder, name in moving),
    )


@pytest.mark.parametrize(
    ("backend", "method", "strip"),
    [
        ("greedy", "rigid", "auto"),
        ("ants", "identity", "skip"),
        ("greedy", "auto", "force"),
    ],
)
def test_methods_text_of_every_workflow_cites_what_exists(tmp_path, backend, method, strip):
    from fusionprep.workflows.base import init_fusionprep_wf

    config = Config.from_options(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        modalities=("pet", "ct", "flair"),
        models=model_names(),
        registration_backend=backend,
        pet2anat_method=method,
        skull_strip_t1w=strip,
    )
    text = methods(init_fusionprep_wf(config, [plan(config.bids_dir)]))
    keys = set(itertools.chain.from_iterable(CITATION.findall(text))) - {""}
    assert keys <= set(read_bibliography())
    assert {"nipype", "n4", "mni", "sklearn"} <= keys
    assert ({"syn", "antspy"} <= keys) is (backend == "ants")
    assert ("greedy" in keys) is (backend == "greedy")
    assert ("The PET was taken to be aligned" in text) is (method == "identity")
    moved = "CT and FLAIR" if method == "identity" else "PET, CT and FLAIR"
    assert f"The {moved} were registered rigidly" in text
    assert f"The {moved} were brought to the T1w grid" in text
    sentences = re.split(r"(?<=\.)\s+", text)
    assert len(sentences) == len(set(sentences))
    moved = "taken to be aligned" if method == "identity" else "registered rigidly"
    steps = ("reoriented to RAS", "was registered to MNI152", moved, "refer to the mean uptake")
    places = [text.index(step) for step in (*steps, "were fused with the T1w")]
    assert places == sorted(places)
    assert ("deepbet" in keys) is (strip != "skip")
    write_citations(text, tmp_path)
    assert "@" not in (tmp_path / "CITATION.md").read_text("utf-8")


def test_sentences_on_several_images_become_one():
    said = [
        (Stage.FUSION, "The CT was fused. Slices were axial."),
        (Stage.REGISTRATION, "The PET was moved. The PET was registered."),
        (Stage.FUSION, "The PET was fused. Slices were axial."),
        (Stage.REGISTRATION, "The CT was registered.\nThe *FLAIR* is dark."),
        (Stage.RUN, "Done with *it* 0.1.0."),
    ]
    assert methods_text(said) == (
        "Done with *it* 0.1.0.\n\n"
        "The PET was moved. The PET and CT were registered. The *FLAIR* is dark.\n\n"
        "The PET and CT were fused. Slices were axial."
    )
