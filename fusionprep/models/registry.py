"""The fusion models by name. Imports no torch, so that a command line can list them at once."""

from dataclasses import replace
from pathlib import Path

from fusionprep.errors import UsageError
from fusionprep.models.entry import ModelEntry

_DENSEFUSE = ModelEntry(
    name="densefuse",
    label="DenseFuse",
    title="dense auto-encoder, l1-norm rule",
    factory="densefuse:densefuse_l1",
    citation="Li & Wu, 2019",
    paper="Li H, Wu X-J. DenseFuse: A Fusion Approach to Infrared and Visible Images. IEEE "
    "Transactions on Image Processing 28(5):2614-2623, 2019. doi:10.1109/TIP.2018.2887342",
    year=2019,
    modalities=("pet", "spect", "ct"),
    weights="densefuse",
    bibliography_key="densefuse",
)

_IFCNN = ModelEntry(
    name="ifcnn",
    label="IFCNN",
    title="convolutional features, maximum rule",
    factory="ifcnn:ifcnn_max",
    citation="Zhang et al., 2020",
    paper="Zhang Y, Liu Y, Sun P, Yan H, Zhao X, Zhang L. IFCNN: A general image fusion framework "
    "based on convolutional neural network. Information Fusion 54:99-118, 2020. "
    "doi:10.1016/j.inffus.2019.07.011",
    year=2020,
    modalities=("pet", "spect", "ct"),
    weights="ifcnn",
    bibliography_key="ifcnn",
)

_ENTRIES = (
    _DENSEFUSE,
    replace(
        _DENSEFUSE,
        name="densefuse_add",
        label="DenseFuseAdd",
        title="dense auto-encoder, addition rule",
        factory="densefuse:densefuse_addition",
    ),
    _IFCNN,
    replace(
        _IFCNN,
        name="ifcnn_mean",
        label="IFCNNMean",
        title="convolutional features, mean rule",
        factory="ifcnn:ifcnn_mean",
    ),
    ModelEntry(
        name="u2fusion",
        label="U2Fusion",
        title="densely connected network, information-weighted",
        factory="u2fusion:U2Fusion",
        citation="Xu et al., 2022",
        paper="Xu H, Ma J, Jiang J, Guo X, Ling H. U2Fusion: A Unified Unsupervised Image Fusion "
        "Network. IEEE Transactions on Pattern Analysis and Machine Intelligence 44(1):502-518, "
        "2022. doi:10.1109/TPAMI.2020.3012548",
        year=2022,
        modalities=("pet", "spect", "ct"),
        weights="u2fusion",
        bibliography_key="u2fusion",
    ),
    ModelEntry(
        name="unet",
        label="UNet",
        title="U-Net on both images, intensity, gradient and structure",
        factory="unet:UNet",
        citation="Ronneberger et al., 2015",
        paper="Ronneberger O, Fischer P, Brox T. U-Net: Convolutional Networks for Biomedical "
        "Image Segmentation. MICCAI, LNCS 9351:234-241, 2015. doi:10.1007/978-3-319-24574-4_28",
        year=2015,
        modalities=("pet", "spect", "ct"),
        weights="unet",
        bibliography_key="unet",
    ),
    ModelEntry(
        name="average",
        label="Average",
        title="mean of the two images",
        factory="arithmetic:Average",
        citation="mean of the two images",
    ),
    ModelEntry(
        name="max",
        label="Max",
        title="brighter of the two images",
        factory="arithmetic:Maximum",
        citation="brighter of the two images",
    ),
    ModelEntry(
        name="pca",
        label="PCA",
        title="weights from the first principal component of each slice",
        factory="pca:PrincipalComponent",
        citation="Naidu & Raol, 2008",
        paper="Naidu VPS, Raol JR. Pixel-level Image Fusion using Wavelets and Principal Component "
        "Analysis. Defence Science Journal 58(3):338-352, 2008. doi:10.14429/dsj.58.1653",
        year=2008,
        bibliography_key="pca",
    ),
    ModelEntry(
        name="wavelet",
        label="Wavelet",
        title="mean approximation and stronger details of a wavelet transform (db2, 3 levels)",
        factory="wavelet:Wavelet",
        citation="Li et al., 1995",
        paper="Li H, Manjunath BS, Mitra SK. Multisensor Image Fusion Using the Wavelet Transform. "
        "Graphical Models and Image Processing 57(3):235-245, 1995. doi:10.1006/gmip.1995.1022",
        year=1995,
        bibliography_key="wavelet",
    ),
    ModelEntry(
        name="laplacian",
        label="Laplacian",
        title="mean coarsest level and more active details of a Laplacian pyramid (4 levels)",
        factory="laplacian:LaplacianPyramid",
        citation="Burt & Adelson, 1983",
        paper="Burt PJ, Adelson EH. The Laplacian Pyramid as a Compact Image Code. IEEE "
        "Transactions on Communications 31(4):532-540, 1983. doi:10.1109/TCOM.1983.1095851",
        year=1983,
        bibliography_key="laplacian",
    ),
    ModelEntry(
        name="guided",
        label="GuidedFilter",
        title="base and details weighted by saliency, along edges",
        factory="guided:GuidedFilter",
        citation="Li et al., 2013",
        paper="Li S, Kang X, Hu J. Image Fusion with Guided Filtering. IEEE Transactions on Image "
        "Processing 22(7):2864-2875, 2013. doi:10.1109/TIP.2013.2244222",
        year=2013,
        bibliography_key="guided",
    ),
)


def model_names() -> tuple[str, ...]:
    """Names of all fusion models."""
    return tuple(entry.name for entry in _ENTRIES)


def get_model(name: str, own_weights: Path | None = None) -> ModelEntry:
    """The model of that name.

    Parameters
    ----------
    own_weights
        Safetensors file of a user's own training; None takes the packaged weights.

    Raises
    ------
    UsageError
        When there is none, or it has no weights that a file could replace.
    NoInputError, DataError
        When the file is missing, or holds no weights of this model.
    """
    for entry in _ENTRIES:
        if entry.name == name:
            return entry if own_weights is None else entry.with_weights(own_weights)
    raise UsageError(f"unknown fusion model {name!r}; there are: {', '.join(model_names())}")
