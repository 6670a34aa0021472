"""The fusion models by name. Imports no torch, so that a command line can list them at once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from fusionprep.errors import UsageError
from fusionprep.modalities import MODALITIES
from fusionprep.models.entry import COLOUR_ENDING, ModelEntry

DEFAULT_MODEL = "readfuse"
"""Used when no model is named."""

_DENSEFUSE = ModelEntry(
    name="densefuse",
    label="DenseFuse",
    title="dense auto-encoder, l1-norm rule",
    factory="densefuse:densefuse_l1",
    citation="Li & Wu, 2019",
    paper="Li H, Wu X-J. DenseFuse: A Fusion Approach to Infrared and Visible Images. IEEE "
    "Transactions on Image Processing 28(5):2614-2623, 2019. doi:10.1109/TIP.2018.2887342",
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
    weights="ifcnn",
    bibliography_key="ifcnn",
)

_GMPET = ModelEntry(
    name="gmpet",
    label="GMPET",
    title="PET where gray matter is more likely than not",
    factory="gmpet:gmpet_mask",
    citation="Song et al., 2021",
    paper="Song J, Zheng J, Li P, Lu X, Zhu G, Shen P. An Effective Multimodal Image Fusion Method "
    "Using MRI and PET for Alzheimer's Disease Diagnosis. Frontiers in Digital Health 3:637386, "
    "2021. doi:10.3389/fdgth.2021.637386",
    bibliography_key="gmpet",
    anatomical_input="gm_probseg",
)

_ENTRIES = (
    ModelEntry(
        name="readfuse",
        label="ReadFuse",
        title="bands of both images with gains from a small network, trained to keep what a reader"
        " looks for; our own",
        factory="readfuse:ReadFuse",
        citation="this software's sum of the bands of both images, with gains from a small network",
        weights="readfuse",
        ct_weights="readfuse_ct",
        ct_factory="readfuse:ReadFuseCT",
    ),
    ModelEntry(
        name="selfuse",
        label="SelFuse",
        title="power mean steered by a small network, trained on metrics and guards; our own",
        factory="selfuse:SelFuse",
        citation="this software's power mean of the two images, steered by a small network",
        weights="selfuse",
    ),
    _DENSEFUSE,
    replace(
        _DENSEFUSE,
        name="densefuse_add",
        label="DenseFuseAdd",
        title="dense auto-encoder, addition rule (near an average; for comparison)",
        factory="densefuse:densefuse_addition",
    ),
    _IFCNN,
    replace(
        _IFCNN,
        name="ifcnn_mean",
        label="IFCNNMean",
        title="convolutional features, mean rule (near an average; for comparison)",
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
        weights="unet",
        bibliography_key="unet",
    ),
    ModelEntry(
        name="matr",
        label="MATR",
        title="adaptive convolutions and window attention",
        factory="matr:matr_small",
        citation="Tang et al., 2022",
        paper="Tang W, He F, Liu Y, Duan Y. MATR: Multimodal Medical Image Fusion via Multiscale "
        "Adaptive Transformer. IEEE Transactions on Image Processing 31:5134-5149, 2022. "
        "doi:10.1109/TIP.2022.3193288",
        weights="matr",
        bibliography_key="matr",
    ),
    ModelEntry(
        name="dsagan",
        label="DSAGAN",
        title="two attentive streams, trained against a discriminator for each source",
        factory="dsagan:DSAGAN",
        citation="Fu et al., 2021",
        paper="Fu J, Li W, Du J, Xu L. DSAGAN: A generative adversarial network based on "
        "dual-stream attention mechanism for anatomical and functional image fusion. Information "
        "Sciences 576:484-506, 2021. doi:10.1016/j.ins.2021.06.083",
        weights="dsagan",
        bibliography_key="dsagan",
    ),
    ModelEntry(
        name="dmfnet",
        label="DMFNet",
        title="features of a diffusion model at several steps and scales, fused with attention",
        factory="dmfnet:DMFNet",
        citation="He et al., 2025",
        paper="He D, Li W, Wang G, Huang Y, Liu S. DM-FNet: Unified multimodal medical image "
        "fusion via diffusion process-trained encoder-decoder. IEEE Transactions on Multimedia, "
        "2025. doi:10.1109/TMM.2025.3613156",
        weights="dmfnet",
        bibliography_key="dmfnet",
        variants=("dmfnet:dmfnet_full",),
    ),
    ModelEntry(
        name="coconet",
        label="CoCoNet",
        title="U-Net with attended features of either image, trained by contrast",
        factory="coconet:CoCoNet",
        citation="Liu et al., 2024",
        paper="Liu J, Lin R, Wu G, Liu R, Luo Z, Fan X. CoCoNet: Coupled Contrastive Learning "
        "Network with Multi-level Feature Ensemble for Multi-modality Image Fusion. International "
        "Journal of Computer Vision 132:1748-1775, 2024. doi:10.1007/s11263-023-01952-1",
        weights="coconet",
        bibliography_key="coconet",
    ),
    ModelEntry(
        name="vggsiamese",
        label="VGGSiamese",
        title="pyramids weighted by VGG-19 features and by a Siamese network, stacked",
        factory="vggsiamese:vggsiamese",
        citation="Allapakam & Karuna, 2024",
        paper="Allapakam V, Karuna Y. An ensemble deep learning model for medical image fusion "
        "with Siamese neural networks and VGG-19. PLoS ONE 19(10):e0309651, 2024. "
        "doi:10.1371/journal.pone.0309651",
        weights="vggsiamese",
        bibliography_key="vggsiamese",
        variants=("vggsiamese:vggsiamese_imagenet", "vggsiamese:VGGSiamese"),
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
        bibliography_key="guided",
    ),
    _GMPET,
    replace(
        _GMPET,
        name="gmpet_prob",
        label="GMPETProb",
        title="PET times the probability of gray matter",
        factory="gmpet:gmpet_probability",
    ),
)


def check_labels(labels: Sequence[str]) -> None:
    """Refuse labels of models that would make the name of an output ambiguous.

    A name is put together from the labels of a modality, a contrast and a model, and an ending for
    colour (:class:`fusionprep.bids.fused_names.FusedDesc`).

    Raises
    ------
    ValueError
        When a label is not of letters and digits, occurs twice, begins with the label of a modality
        or ends like an image in colour.
    """
    modalities = tuple(modality.label for modality in MODALITIES)
    for label in labels:
        if not (label.isascii() and label.isalnum()):
            raise ValueError(f"the label {label!r} of a model may hold letters and digits only")
        if labels.count(label) > 1:
            raise ValueError(f"two models have the label {label!r}")
        if label.startswith(modalities) or label.endswith(COLOUR_ENDING):
            raise ValueError(
                f"the label {label!r} of a model begins with a modality or ends with"
                f" {COLOUR_ENDING}, so that names of fused images would be ambiguous"
            )


check_labels([entry.label for entry in _ENTRIES])


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
