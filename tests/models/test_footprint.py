import numpy as np
import pytest
import torch

from fusionprep.models.footprint import MOST_SLICES, Footprint, footprint, peak_bytes
from fusionprep.models.nets.base import FusionModel
from fusionprep.models.registry import get_model, model_names

torch.set_num_threads(1)

SHAPE = (48, 40)
LOOKS_AT_VALUES = ("wavelet",)


class _Known(FusionModel):
    """Holds a thousand numbers, and up to three results at once."""

    def forward(self, anatomical: torch.Tensor, functional: torch.Tensor) -> torch.Tensor:
        table = torch.zeros(1000, device=anatomical.device)
        first = anatomical + 1
        second = first.view(-1) * 2
        del first
        third = second + functional.flatten()
        return (third + table.sum()).view_as(anatomical)


def test_what_is_there_at_once_is_added_up_and_what_is_freed_is_not():
    image, table = 3 * 256 * 256 * 4, 1000 * 4
    # both images, the second and the third result and the last; the table and its sum
    assert peak_bytes(_Known(), 3, (256, 256), "cpu") == 5 * image + table + 4


@pytest.mark.parametrize("name", model_names())
def test_what_is_found_without_content_is_what_a_run_takes(name):
    model = get_model(name).load()
    found = footprint(model, SHAPE)
    if name in LOOKS_AT_VALUES:
        assert found is None
        return
    taken = peak_bytes(model, 5, SHAPE, "cpu")
    images = 3 * 5 * 4 * np.prod(SHAPE)
    assert found.fixed >= 0
    assert found.fixed + 5 * found.of_slice == pytest.approx(taken + images, rel=0.05)
    # nothing was moved
    assert all(parameter.device.type == "cpu" for parameter in model.parameters())


@pytest.mark.parametrize("name", ["readfuse", "densefuse", "matr", "unet"])
def test_half_precision_stays_within_what_is_planned_with(name):
    model = get_model(name).load()
    whole = peak_bytes(model, 4, SHAPE, "cpu")
    with torch.autocast("cpu", torch.float16):
        half = peak_bytes(model, 4, SHAPE, "cpu")
    assert half < 1.5 * whole


@pytest.mark.parametrize(
    ("free", "slices"), [(0, 1), (2 * 150, 1), (2 * 350, 3), (2 * 399, 3), (10**9, MOST_SLICES)]
)
def test_as_many_slices_as_half_of_the_free_memory_holds(free, slices):
    assert Footprint(fixed=50, of_slice=100).slices_in(free) == slices
