"""Writing derivatives: the image, whole or not at all, and its sidecar."""

import json
import math
import os
import shutil
from pathlib import Path
from typing import Any

from nipype.interfaces.base import (
    BaseInterfaceInputSpec,
    File,
    InputMultiObject,
    SimpleInterface,
    TraitedSpec,
    isdefined,
    traits,
)

from fusionprep.bids.names import IMAGE, NOTES, sidecar_path
from fusionprep.bids.raw_files import SPACE_CODES
from fusionprep.errors import OutputError, UnreadableFileError
from fusionprep.files import write_text, write_whole
from fusionprep.reading import read_text


class _WriteDerivativeInputSpec(BaseInterfaceInputSpec):
    in_file = File(
        exists=True,
        desc="file to write, none for no output; .nii is compressed, .nii.gz stays as it is",
    )
    output_dir = traits.Str(mandatory=True, desc="root of the derivatives")
    out_path = traits.Str(mandatory=True, desc="path below the root")
    space = traits.Enum(*SPACE_CODES, usedefault=True, desc="meaning of the affine")
    metadata = traits.Dict(desc="sidecar fields known when the workflow is built")
    computed = InputMultiObject(traits.Dict(), desc="sidecar fields found on the way")
    write_sidecar = traits.Bool(True, usedefault=True)


class _WriteDerivativeOutputSpec(TraitedSpec):
    out_file = traits.Str(desc="absolute path of what was written, if anything was")


class WriteDerivative(SimpleInterface):
    """Write one file of the derivative dataset under its final name.

    Runs again, even if nothing changed, when its file is missing or was written by another run: a
    file has the modification time of the image it was made from.
    """

    input_spec = _WriteDerivativeInputSpec
    output_spec = _WriteDerivativeOutputSpec

    @property
    def always_run(self) -> bool:
        target = Path(self.inputs.output_dir, self.inputs.out_path)
        if not target.is_file():
            return True
        if isdefined(self.inputs.in_file) and not is_of_same_time(target, self.inputs.in_file):
            return True
        if not self.inputs.write_sidecar:
            return False
        sidecar = sidecar_path(target)
        try:
            return read_text(sidecar) != self._sidecar_text()
        except UnreadableFileError:
            return True

    def _sidecar_text(self) -> str:
        fields = dict(self.inputs.metadata)
        for computed in self.inputs.computed if isdefined(self.inputs.computed) else []:
            notes = [*fields.get(NOTES, []), *computed.get(NOTES, [])]
            fields.update(computed)
            if notes:
                fields[NOTES] = list(dict.fromkeys(notes))
        return json.dumps(_finite(fields), indent=2) + "\n"

    def _run_interface(self, runtime: Any) -> Any:
        target = Path(self.inputs.output_dir, self.inputs.out_path)
        if not isdefined(self.inputs.in_file):
            for stale in (target, sidecar_path(target)):
                stale.unlink(missing_ok=True)
            return runtime
        source = Path(self.inputs.in_file)
        try:
            if target.name.endswith(IMAGE) and not source.name.endswith(IMAGE):
                write_whole(target, lambda path: self._write_image(source, path))
            else:
                write_whole(target, lambda path: shutil.copyfile(source, path))
            if self.inputs.write_sidecar:
                write_text(sidecar_path(target), self._sidecar_text())
            take_time(target, source)
        except OSError as error:
            raise OutputError(
                f"cannot write {self.inputs.out_path} below the output folder: {error.strerror};"
                " free space or correct permissions, then run again with the same work directory"
            ) from error
        self._results["out_file"] = str(target)
        return runtime

    def _write_image(self, source: Path, target: Path) -> None:
        # ISA-L packs as tightly as zlib in a tenth of the time
        from isal import igzip

        from fusionprep.image.io import load_image

        image = load_image(source)
        code = SPACE_CODES[self.inputs.space]
        image.set_sform(image.affine, code=code)
        image.set_qform(image.affine, code=code)
        image.header.set_xyzt_units("mm", "sec")
        with (
            target.open("wb") as file,
            # without name and time, which would differ from run to run
            igzip.IGzipFile("", "wb", fileobj=file, mtime=0) as stream,
        ):
            image.to_stream(stream)


def take_time(target: Path, source: str | Path) -> None:
    """Give a file the modification time of what it was made from."""
    modified = Path(source).stat().st_mtime_ns
    os.utime(target, ns=(modified, modified))


def is_of_same_time(target: Path, source: str | Path) -> bool:
    """Whether :func:`take_time` was the last to touch `target`."""
    difference = target.stat().st_mtime_ns - Path(source).stat().st_mtime_ns
    # some network file systems keep whole seconds
    return abs(difference) < 1_000_000_000


def _finite(value: Any) -> Any:
    """JSON has no NaN: it becomes null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
