"""The demo's T1w denoised through the whole App."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from tests.app.runs import Run, run_app
from tests.validator import issues

TEMPLATE = "MNI152NLin2009aSym"


@pytest.fixture(scope="module")
def denoised(phantom, tmp_path_factory) -> Run:
    """The run of :func:`finished` with its noise taken out."""
    options = ("--denoise-t1w", "on", "--output-spaces", "T1w", f"{TEMPLATE}:res-2")
    run = run_app(phantom, tmp_path_factory.mktemp("denoised") / "out", *options)
    assert run.code == 0, run.stderr
    return run


def anatomical(out: Path, name: str) -> Path:
    return out / "sub-01" / "anat" / f"sub-01_{name}"


def told(out: Path, name: str = "desc-preproc_T1w") -> dict:
    return json.loads(anatomical(out, f"{name}.json").read_text("utf-8"))


def test_the_preprocessed_t1w_is_the_denoised_one_and_says_so(finished, denoised):
    before, after = told(finished.output_dir), told(denoised.output_dir)
    assert (before["Denoised"], after["Denoised"]) == (False, True)
    assert before["NoiseEstimate"] == after["NoiseEstimate"]
    # the demo's noise is 2% of a signal of which white matter has 0.9
    assert after["NoiseEstimate"]["OfWhiteMatter"] == pytest.approx(0.02 / 0.9, rel=0.2)
    assert "--denoise-t1w on" in after["DenoisingReason"]
    assert "less than" in before["DenoisingReason"]
    assert told(denoised.output_dir, f"space-{TEMPLATE}_res-2_desc-preproc_T1w")["Denoised"]
    mask = (
        np.asarray(nib.load(anatomical(denoised.output_dir, "desc-brain_mask.nii.gz")).dataobj) > 0
    )
    images = [
        nib.load(anatomical(out, "desc-preproc_T1w.nii.gz")).get_fdata()
        for out in (finished.output_dir, denoised.output_dir)
    ]
    changed = images[0] != images[1]
    # with so little noise, at 3 mm, few patches of the cortex are alike
    assert changed[mask].mean() > 0.05
    assert not changed[~mask].any()


def test_quality_is_that_of_the_image_before(finished, denoised):
    """A denoised image would seem to come from a better scanner."""
    before, after = (told(out)["Quality"] for out in (finished.output_dir, denoised.output_dir))
    for name in before:
        # tissues are those of the denoised image
        assert after[name] == pytest.approx(before[name], rel=0.1)


def test_methods_report_and_figure_tell_of_it(finished, denoised):
    figure = Path("sub-01", "figures", "sub-01_desc-denoised_T1w.svg")
    assert not (finished.output_dir / figure).exists()
    assert (denoised.output_dir / figure).stat().st_size > 10_000
    assert figure.name in (denoised.output_dir / "sub-01.html").read_text("utf-8")
    text = (denoised.output_dir / "logs" / "CITATION.md").read_text("utf-8")
    assert "non-local means" in text


def test_outputs_are_valid(denoised):
    assert issues(denoised.output_dir) == []
