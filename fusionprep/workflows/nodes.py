"""Small helpers every workflow builder uses."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nipype.interfaces.base import BaseInterface
from nipype.pipeline import engine as pe

from fusionprep.bids.names import LESION, figure_path
from fusionprep.bids.types import ImageFile
from fusionprep.config import Config, Fusion, Processing
from fusionprep.interfaces.derivatives import WriteDerivative
from fusionprep.modalities import T1W
from fusionprep.models.registry import get_model
from fusionprep.spaces import NATIVE, TemplateSpace
from fusionprep.workflows.memory import claimed_gb

Port = tuple[pe.Node, str]
"""A node and the field of it that hands something over."""

CONTRAST = "contrast"
"""Field of the FLAIR or T2w that PET and CT are fused with in place of the T1w."""

T1W_IMAGES = ("conformed", "t1w", "mask", "dseg", "gm", "wm")


def node(
    interface: BaseInterface,
    name: str,
    config: Config,
    *,
    on: Sequence[ImageFile | TemplateSpace] = (),
    more_gb: float = 0.0,
) -> pe.Node:
    """A node that claims the threads and the memory its interface will use.

    Parameters
    ----------
    on
        Images and grids that it works on; nothing stands for a typical T1w.
    more_gb
        Memory beside that of :data:`~fusionprep.workflows.memory.CLAIMS`.
    """
    threads = 1
    if "n_threads" in interface.inputs.traits():
        threads = config.execution.omp_nthreads
        interface.inputs.n_threads = threads
    mem_gb = claimed_gb(type(interface).__name__, on) + more_gb
    return pe.Node(interface, name=name, mem_gb=round(mem_gb, 3), n_procs=threads)


def derivative_node(
    config: Config,
    out_path: str,
    name: str,
    *,
    space: str = "aligned",
    metadata: Mapping[str, Any] | None = None,
) -> pe.Node:
    """A node that writes one file of the derivative dataset.

    Parameters
    ----------
    out_path
        Path below the output root.
    space
        What the affine means: ``scanner``, ``aligned`` (to another image) or ``mni``.
    metadata
        Sidecar; None writes none (transforms have no sidecar).
    """
    interface = WriteDerivative(
        output_dir=str(config.output_dir),
        out_path=out_path,
        space=space,
        write_sidecar=metadata is not None,
    )
    if metadata is not None:
        interface.inputs.metadata = dict(metadata)
    return node(interface, name, config)


def figure_node(
    config: Config,
    interface_class: type[BaseInterface],
    like: str,
    extension: str,
    name: str,
    **inputs: Any,
) -> pe.Node:
    """A node that draws the figure named after the derivative `like`."""
    interface = interface_class(
        output_dir=str(config.output_dir), out_path=figure_path(like, extension), **inputs
    )
    return node(interface, name, config)


@dataclass(frozen=True)
class Space:
    """An output space: the T1w's own grid (`template` None) or a template's."""

    template: TemplateSpace | None = None

    @property
    def tag(self) -> str:
        """Ends the names of nodes that work in this space."""
        template = self.template
        return "_t1w" if template is None else f"_{template.name}_{template.resolution}"

    @property
    def entities(self) -> dict[str, str]:
        """BIDS entities of images brought to this space."""
        if self.template is None:
            return {"space": NATIVE}
        return {"space": self.template.name, "res": self.template.resolution}

    @property
    def t1w_entities(self) -> dict[str, str]:
        """The same for the T1w, which is in its own space without saying so."""
        return {} if self.template is None else self.entities

    @property
    def code(self) -> str:
        """What the affine of an image brought here means."""
        return "aligned" if self.template is None else "mni"

    @property
    def metadata(self) -> dict[str, str]:
        """Sidecar fields of this space."""
        if self.template is None:
            return {}
        return {
            "Resolution": f"Resolution {self.template.resolution} of {self.template.name}",
            "SpatialReference": self.template.uri,
        }

    def anatomy_field(self, image: str) -> str:
        """Name of the field that hands over ``t1w``, ``mask`` or ``gm`` in this space."""
        return image if self.template is None else f"{image}{self.tag}"


def output_spaces(processing: Processing) -> list[Space]:
    """T1w space, which is always written, and the templates."""
    return [Space(), *(Space(template) for template in processing.templates)]


def is_drawn(processing: Processing, space: Space) -> bool:
    """Whether the report shows a space: of a template asked for at two resolutions, the first."""
    first = {template.name: template for template in reversed(processing.templates)}
    return space.template is None or first[space.template.name] == space.template


def t1w_images(t1w: ImageFile) -> tuple[str, ...]:
    """What is made of a T1w on its grid: :data:`T1W_IMAGES`, and its lesion where it has one."""
    return (*T1W_IMAGES, *lesion_fields(t1w))


def template_images(fusion: Fusion, t1w: ImageFile) -> tuple[str, ...]:
    """What is brought from the T1w to templates: T1w, mask, lesion, GM where a model uses it."""
    uses_gm = not all(get_model(name).takes_image for name in fusion.models)
    return ("t1w", "mask", *(["gm"] if uses_gm else []), *lesion_fields(t1w))


def lesion_fields(t1w: ImageFile) -> list[str]:
    """The field of a lesion, where the T1w has one."""
    return [LESION] if t1w.lesions else []


def anatomy_fields(config: Config, t1w: ImageFile) -> list[str]:
    """What the workflows of other modalities are given of the T1w.

    :func:`t1w_images` on the T1w grid; per template, both transforms;
    per template and resolution, :func:`template_images` there.
    """
    templates = config.processing.templates
    transforms = [
        f"{direction}_{name}"
        for name in dict.fromkeys(template.name for template in templates)
        for direction in ("template_from_t1w", "t1w_from_template")
    ]
    images = template_images(config.fusion, t1w)
    grids = [Space(template).anatomy_field(image) for template in templates for image in images]
    return [*t1w_images(t1w), *transforms, *grids]


def fusion_fields(config: Config, t1w: ImageFile) -> list[str]:
    """What the workflows of modalities that are fused are given.

    :func:`anatomy_fields`, and in every output space the contrast that they are fused with where
    that is not the T1w.
    """
    spaces = output_spaces(config.processing) if config.fusion.contrast != T1W else []
    return [*anatomy_fields(config, t1w), *(space.anatomy_field(CONTRAST) for space in spaces)]
