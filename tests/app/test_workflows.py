"""What is built for a plan, without running it."""

from pathlib import Path

import pytest

from fusionprep.bids.plan import ImageFile, Pairing, SubjectPlan
from fusionprep.config import Config
from fusionprep.workflows.base import init_fusionprep_wf


def workflow(tmp_path: Path, **options):
    """The workflow of a subject with T1w, PET and CT."""
    config = Config(
        bids_dir=tmp_path / "raw",
        output_dir=tmp_path / "out",
        work_dir=tmp_path / "work",
        **{"modalities": ("pet", "ct"), **options},
    )

    def image(folder: str, suffix: str) -> ImageFile:
        path = config.bids_dir / "sub-01" / folder / f"sub-01_{suffix}.nii.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return ImageFile(path, {"subject": "01", "suffix": suffix}, {}, shape=(9, 9, 9))

    t1w = image("anat", "T1w")
    pairings = [Pairing(m, image(m, m), t1w, "same session") for m in ("pet", "ct")]
    return init_fusionprep_wf(config, [SubjectPlan("01", tuple(pairings))])


@pytest.mark.parametrize("method", ["rigid", "identity", "auto"])
def test_the_method_for_pet_leaves_ct_alone(tmp_path, method):
    built = workflow(tmp_path, pet2anat_method=method)
    found = {
        name.split(".")[-3]: built.get_node(name).inputs.method
        for name in built.list_node_names()
        if name.endswith("coregistration_wf.register")
    }
    assert found == {"pet_wf": method, "ct_wf": "rigid"}


def test_no_two_nodes_write_the_same_file(tmp_path):
    template = "MNI152NLin2009aSym"
    built = workflow(tmp_path, output_spaces=("T1w", f"{template}:res-1", f"{template}:res-2"))
    nodes = map(built.get_node, built.list_node_names())
    written = [node.inputs.out_path for node in nodes if hasattr(node.inputs, "out_path")]
    assert len(written) > 30
    assert len(set(written)) == len(written)
