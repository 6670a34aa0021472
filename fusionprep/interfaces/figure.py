"""What interfaces that draw have in common."""

from pathlib import Path
from typing import Any, ClassVar

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.files import write_whole
from fusionprep.interfaces.derivatives import is_of_same_time, take_time


class FigureInputSpec(BaseInterfaceInputSpec):
    """Where a figure goes."""

    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    out_path = traits.Str(mandatory=True, desc="path of the figure below the root")


class _FigureOutputSpec(TraitedSpec):
    out_file = traits.Str(desc="absolute path of the figure")


class Figure(SimpleInterface):
    """A figure under its final name; drawn again when it is missing or comes from another run."""

    output_spec = _FigureOutputSpec
    needed: ClassVar[str] = ""
    """Input without which there is no figure, where there is such."""

    @property
    def always_run(self) -> bool:
        if self._is_without():
            return self._target.is_file()
        newest = self._newest_input()
        return not self._target.is_file() or (
            newest is not None and not is_of_same_time(self._target, newest)
        )

    @property
    def _target(self) -> Path:
        return Path(self.inputs.output_dir, self.inputs.out_path)

    def _is_without(self) -> bool:
        return bool(self.needed) and not isdefined(getattr(self.inputs, self.needed))

    def _run_interface(self, runtime: Any) -> Any:
        if self._is_without():
            self._target.unlink(missing_ok=True)
            return runtime
        write_whole(self._target, self._draw)
        newest = self._newest_input()
        if newest is not None:
            take_time(self._target, newest)
        self._results["out_file"] = str(self._target)
        return runtime

    def _newest_input(self) -> Path | None:
        """The drawn image or table that was written last; None before any is known."""
        files = [name for name, trait in self.inputs.traits().items() if trait.is_trait_type(File)]
        values = [getattr(self.inputs, name) for name in files]
        images = [Path(v) for v in values if isinstance(v, str) and v.endswith((".nii", ".tsv"))]
        return max(images, key=lambda image: image.stat().st_mtime_ns, default=None)

    def _draw(self, path: Path) -> None:
        raise NotImplementedError
