"""Writing fused images as DICOM."""

from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    traits,
)


class _WriteDicomInputSpec(BaseInterfaceInputSpec):
    in_file = File(exists=True, mandatory=True, desc="fused image in T1w space")
    t1w = File(exists=True, mandatory=True, desc="the T1w as given, compared with the series")
    template = traits.Str(mandatory=True, desc="path of the series, with {subject} and {session}")
    subject = traits.Str(mandatory=True)
    session = traits.Str(desc="none for a subject without sessions")
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    out_path = traits.Str(mandatory=True, desc="folder below the root")
    what = traits.Str(mandatory=True, desc="what it shows, for the series description")
    details = traits.Str(mandatory=True, desc="how it was made")


class _WriteDicomOutputSpec(TraitedSpec):
    out_files = traits.List(traits.Str(), desc="slices, absolute")


class WriteDicom(SimpleInterface):
    """Write a fused image as DICOM on the grid and under the study of the T1w's series.

    Runs again, even if nothing changed, when its folder is missing.
    """

    input_spec = _WriteDicomInputSpec
    output_spec = _WriteDicomOutputSpec

    @property
    def always_run(self) -> bool:
        return not Path(self.inputs.output_dir, self.inputs.out_path).is_dir()

    def _run_interface(self, runtime: Any) -> Any:
        from fusionprep.dicom.series import find_series
        from fusionprep.dicom.writing import write_series
        from fusionprep.interfaces.files import given

        inputs = self.inputs
        written = write_series(
            Path(inputs.in_file),
            find_series(inputs.template, inputs.subject, given(inputs, "session")),
            Path(inputs.output_dir, inputs.out_path),
            what=inputs.what,
            details=inputs.details,
            like=Path(inputs.t1w),
        )
        self._results["out_files"] = [str(path) for path in written]
        return runtime
