"""MINC files, as MNI's programs write them."""

from pathlib import Path

import h5py
import numpy as np
from scipy.io import netcdf_file

AXES = ("zspace", "yspace", "xspace")


def write_minc1(path: Path, values: np.ndarray, steps, starts) -> None:
    """(X, Y, Z) whole numbers from 0 to 255 in the order z, y, x; steps and starts of x, y, z."""
    with netcdf_file(path, "w") as file:
        for axis, size, step, start in _axes(values, steps, starts):
            file.createDimension(axis, size)
            variable = file.createVariable(axis, "i", ())
            variable.spacing, variable.step, variable.start = b"regular__", step, start
        image = file.createVariable("image", "b", AXES)
        image.signtype, image.valid_range = b"unsigned", np.array([0.0, 255.0])
        image[:] = values.T.astype(np.uint8).view(np.int8)
        for name, level in (("image-max", 255.0), ("image-min", 0.0)):
            # of each slice, as most files have it
            file.createVariable(name, "d", AXES[:1])[:] = level


def write_minc2(path: Path, values: np.ndarray, steps, starts) -> None:
    """The same in HDF5."""
    with h5py.File(path, "w") as file:
        root = file.create_group("minc-2.0")
        dimensions = root.create_group("dimensions")
        for axis, size, step, start in _axes(values, steps, starts):
            variable = dimensions.create_dataset(axis, data=0)
            attributes = {
                "length": size, "step": step, "start": start, "spacing": np.bytes_("regular__"),
            }  # fmt: skip
            variable.attrs.update(attributes)
        folder = root.create_group("image/0")
        image = folder.create_dataset("image", data=values.T.astype(np.uint8))
        image.attrs["dimorder"] = np.bytes_(",".join(AXES))
        image.attrs["valid_range"] = np.array([0.0, 255.0])
        for name, level in (("image-max", 255.0), ("image-min", 0.0)):
            scale = folder.create_dataset(name, data=np.full(values.shape[2], level))
            scale.attrs["dimorder"] = np.bytes_(AXES[0])


def _axes(values, steps, starts):
    return zip(AXES, values.shape[::-1], steps[::-1], starts[::-1], strict=True)
