"""What was made of a T1w before, checked and brought to its grid, as a Nipype interface."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import NOTES, TAKEN_OVER
from fusionprep.errors import DataError
from fusionprep.interfaces.files import save

if TYPE_CHECKING:
    import nibabel as nib

BRAIN_MASK, TISSUES = "brain mask", "tissues"
"""What the steps are called whose place is taken."""


def not_taken(what: str, dataset: str, error: DataError) -> dict[str, list[str]]:
    """The sidecar's field Notes about what was refused, and why."""
    return {NOTES: [f"did not take over the {what} of {dataset}: {error}"]}


def taken_over(origin: Mapping[str, Any], scores: Mapping[str, float]) -> dict[str, Any]:
    """Sidecar fields of what was taken over.

    Parameters
    ----------
    origin
        ``Dataset``, ``Software`` and ``Files``.
    scores
        Of its checks.
    """
    return {"Sources": list(origin["Files"]), TAKEN_OVER: {**origin, **scores}}


class _TakeOverInputSpec(BaseInterfaceInputSpec):
    t1w = File(exists=True, mandatory=True, desc="in RAS orientation, before bias correction")
    mask = File(exists=True, desc="brain mask, or FreeSurfer's brainmask, in T1w space")
    mask_labels = File(exists=True, desc="FreeSurfer's labels of structures, beside it")
    mask_t1w = File(exists=True, desc="the T1w that it is of")
    mask_from = traits.Dict(desc="Dataset, Software, Files")
    mask_freesurfer = traits.Bool(False, usedefault=True)
    gm = File(exists=True, desc="fraction of gray matter")
    wm = File(exists=True, desc="of white matter")
    csf = File(exists=True, desc="of CSF")
    labels = File(exists=True, desc="tissue labels, or FreeSurfer's, in place of fractions")
    table = File(exists=True, desc="names of the labels; none for 1 GM, 2 WM, 3 CSF")
    tissues_t1w = File(exists=True, desc="the T1w that they are of")
    tissues_from = traits.Dict(desc="Dataset, Software, Files")
    tissues_freesurfer = traits.Bool(False, usedefault=True)
    n_threads = traits.Int(1, usedefault=True, nohash=True)


class _TakeOverOutputSpec(TraitedSpec):
    out_mask = File(exists=True, desc="on the grid of the T1w; none where it was refused")
    brain_from = traits.Dict(desc="sidecar fields that say so; empty where it was refused")
    fractions = File(exists=True, desc="(X, Y, Z, 3) GM, WM, CSF there; none where refused")
    rest_is_fluid = traits.Bool(desc="whether they leave out the CSF around the brain")
    tissues_from = traits.Dict(desc="sidecar fields that say so; empty where they were refused")
    metadata = traits.Dict(desc="the T1w's sidecar field Notes, where something was refused")


class TakeOver(SimpleInterface):
    """Read the brain mask and the tissues that others made of a T1w, and check that they are of it.

    What fails its check is left out with a note, and made as if there had been none.
    """

    input_spec = _TakeOverInputSpec
    output_spec = _TakeOverOutputSpec

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.image.io import load_image, new_image

        t1w = load_image(self.inputs.t1w)
        notes: list[str] = []
        self._results |= {"brain_from": {}, "tissues_from": {}, "rest_is_fluid": False}
        if isdefined(self.inputs.mask):
            try:
                mask, scores = self._mask(t1w)
            except DataError as error:
                notes += not_taken(BRAIN_MASK, self.inputs.mask_from["Dataset"], error)[NOTES]
            else:
                image = new_image(mask.astype(np.uint8), t1w.affine)
                self._results["out_mask"] = save(image, runtime.cwd, "mask")
                self._results["brain_from"] = taken_over(self.inputs.mask_from, scores)
        if isdefined(self.inputs.gm) or isdefined(self.inputs.labels):
            try:
                fractions, scores = self._fractions(t1w)
            except DataError as error:
                notes += not_taken(TISSUES, self.inputs.tissues_from["Dataset"], error)[NOTES]
            else:
                image = new_image(np.moveaxis(fractions, 0, -1), t1w.affine)
                self._results["fractions"] = save(image, runtime.cwd, "fractions")
                self._results["tissues_from"] = taken_over(self.inputs.tissues_from, scores)
                self._results["rest_is_fluid"] = bool(self.inputs.tissues_freesurfer)
        self._results["metadata"] = {NOTES: notes} if notes else {}
        return runtime

    def _mask(self, t1w: "nib.Nifti1Image") -> tuple[np.ndarray, dict[str, float]]:
        from fusionprep.image import earlier

        n_threads = self.inputs.n_threads
        image = earlier.read_of_t1w(Path(self.inputs.mask))
        if self.inputs.mask_freesurfer:
            labels = self.inputs.mask_labels
            read = earlier.read_of_t1w(Path(labels)) if isdefined(labels) else None
            image = earlier.brain_of_freesurfer(image, read)
        else:
            image = earlier.as_mask(image)
        mask = earlier.on_grid(image, t1w, interpolation="nearest", n_threads=n_threads) > 0.5
        scores = earlier.check_brain(mask, t1w, n_threads=n_threads)
        return mask, {**scores, **self._likeness(self.inputs.mask_t1w, t1w, mask)}

    def _likeness(self, other: Any, t1w: "nib.Nifti1Image", inside: np.ndarray) -> dict[str, float]:
        """The score of the T1w that something was made of, where that is known."""
        from fusionprep.image.earlier import check_likeness, read_of_t1w

        if not isdefined(other):
            return {}
        image = read_of_t1w(Path(other))
        found = check_likeness(image, t1w, inside, n_threads=self.inputs.n_threads)
        return {"Correlation": round(found, 4)}

    def _fractions(self, t1w: "nib.Nifti1Image") -> tuple[np.ndarray, dict[str, float]]:
        from fusionprep.image import earlier

        n_threads = self.inputs.n_threads
        if isdefined(self.inputs.labels):
            labels = earlier.read_of_t1w(Path(self.inputs.labels))
            table = self.inputs.table
            classes = earlier.classes_of(
                labels,
                table=Path(table) if isdefined(table) else None,
                from_freesurfer=self.inputs.tissues_freesurfer,
            )
            fractions = earlier.fractions_of_classes(classes, t1w, n_threads=n_threads)
        else:
            maps = {
                name: earlier.read_of_t1w(Path(getattr(self.inputs, name.lower())))
                for name in ("GM", "WM", "CSF")
            }
            fractions = earlier.fractions_of_maps(maps, t1w, n_threads=n_threads)
        if not fractions.any():
            raise DataError("none of its tissues lies in the T1w")
        inside = fractions[:2].sum(axis=0) > 0.5
        return fractions, self._likeness(self.inputs.tissues_t1w, t1w, inside)
