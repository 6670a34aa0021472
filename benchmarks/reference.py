"""A fixed piece of work, by which CPU times of different machines can be compared.

It does what the steps of ``fusionapp`` spend their time on, with the same libraries and one thread:
filters and resampling of volumes, a registration by mutual information, sorting and arithmetic,
convolutions, compression. Results are thrown away. It is the unit of the stored figures: whoever
changes it has to store them again.
"""

import os
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Self

import numpy as np

THREADS = dict.fromkeys(
    (
        *("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"),
        "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
    ),
    "1",
)
"""Environment of one thread, which libraries read when they are loaded."""

SIDE = 80
SECONDS_BETWEEN = 6.0
FEWEST = 3


def head(seed: int = 0) -> np.ndarray:
    """A noisy ball with an inner structure, (80, 80, 80) float32."""
    x, y, z = np.ogrid[(slice(-1, 1, SIDE * 1j),) * 3]
    radius = np.sqrt(x**2 + (y / 0.9) ** 2 + (z / 0.8) ** 2)
    image = np.where(radius < 0.8, 100 + 40 * np.sin(9 * x) * np.cos(7 * y) + 20 * z, 0)
    return (image + np.random.default_rng(seed).normal(0, 4, image.shape)).astype(np.float32)


def scipy_part() -> None:
    """Filters, resampling, distances and components."""
    from scipy import ndimage

    image = head()
    smooth = ndimage.gaussian_filter(image, 3.0)
    turned = np.array([[0.99, 0.1, 0], [-0.1, 0.99, 0], [0, 0, 1.0]])
    ndimage.affine_transform(smooth, turned, order=3)
    ndimage.affine_transform(smooth, turned, order=1)
    ndimage.distance_transform_edt(smooth > 50)
    ndimage.label(image > 100)


def sitk_part() -> None:
    """Some steps of a registration by mutual information."""
    import SimpleITK as sitk

    fixed, moving = (sitk.GetImageFromArray(head(seed)) for seed in (1, 2))
    start = sitk.Euler3DTransform()
    start.SetCenter([SIDE / 2] * 3)
    start.SetParameters([0.1, -0.05, 0.1, 3.0, -2.0, 1.0])
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(40)
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(0.1)
    method.SetInterpolator(sitk.sitkLinear)
    # a tolerance of 0 keeps it from stopping sooner on one machine than on another
    method.SetOptimizerAsRegularStepGradientDescent(0.5, 0.0, 10, gradientMagnitudeTolerance=0.0)
    method.SetOptimizerScales([1000.0] * 3 + [1.0] * 3)
    method.SetInitialTransform(start, inPlace=False)
    method.Execute(fixed, moving)
    sitk.DiscreteGaussian(fixed, 4.0)


def numpy_part() -> None:
    """Sorting, percentiles, histograms, transforms and arithmetic on whole volumes."""
    image = head()
    np.percentile(image, [1, 50, 99])
    np.sort(image, axis=None)
    np.histogram2d(image.ravel(), image[::-1].ravel(), bins=64)
    np.fft.rfftn(image)
    for _ in range(30):
        np.exp(-(image**2) / 5000) / (1 + np.abs(image))


def torch_part() -> None:
    """Convolutions of a small network."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(a, b, 3, padding=1) for a, b in ((2, 32), (32, 32), (32, 1))]
    images = torch.rand(2, 2, 256, 256)
    with torch.inference_mode():
        for _ in range(4):
            found = images
            for layer in layers:
                found = layer(found).relu()


def compression_part() -> None:
    """The deflating of an image that is written."""
    zlib.compress(head().tobytes(), 6)


PARTS: dict[str, Callable[[], None]] = {
    "scipy": scipy_part,
    "SimpleITK": sitk_part,
    "numpy": numpy_part,
    "torch": torch_part,
    "compression": compression_part,
}


def once() -> float:
    """CPU seconds of the work, done once."""
    before = time.process_time()
    for part in PARTS.values():
        part()
    return time.process_time() - before


def repeat() -> None:
    """Do the work again and again, and print the moment and the CPU seconds of each time."""
    # imports and warming up do not count
    once()
    while True:
        began = time.monotonic()
        cpu_s = once()
        print((began + time.monotonic()) / 2, cpu_s, flush=True)
        time.sleep(SECONDS_BETWEEN)


class Reference:
    """The work done beside something else, in a process of its own with one thread.

    Attributes
    ----------
    at, cpu_s
        The moments (of ``time.monotonic``) at which it was done, and the CPU seconds it took.
    """

    def __init__(self) -> None:
        self.at: list[float] = []
        self.cpu_s: list[float] = []

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve())],
            stdout=subprocess.PIPE, text=True, env=os.environ | THREADS,
        )  # fmt: skip
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.wait(FEWEST)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        for line in self._process.stdout:
            at, cpu_s = map(float, line.split())
            self.cpu_s.append(cpu_s)
            self.at.append(at)

    def wait(self, times: int) -> None:
        """Until it was done this many times more."""
        enough = len(self.at) + times
        while len(self.at) < enough:
            if self._process.poll() is not None:
                raise RuntimeError("the reference has ended")
            time.sleep(0.1)

    def between(self, begin: float, end: float) -> float:
        """CPU seconds that the work takes, on average over a span of time.

        Each time counts as the median of itself and its neighbours.
        """
        at, cpu_s = np.array(self.at), np.array(self.cpu_s[: len(self.at)])
        neighbours = np.stack([np.r_[cpu_s[:1], cpu_s[:-1]], cpu_s, np.r_[cpu_s[1:], cpu_s[-1:]]])
        smooth = np.median(neighbours, axis=0)
        return float(np.interp(np.linspace(begin, end, 50), at, smooth).mean())


if __name__ == "__main__":
    repeat()
