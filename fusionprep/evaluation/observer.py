"""A channelised Hotelling observer: the second opinion on what can be seen in a fused image.

The observer reads each place through a few channels, differences of Gaussians as the visual system
has them, and weighs these in the best linear way against the clutter, its own noise and the
variation of the lesions themselves. :mod:`fusionprep.evaluation.visibility` looks at one channel
only; both should put methods in the same order.

References
----------
Barrett HH, Yao J, Rolland JP, Myers KJ. Model observers for assessment of image quality. Proc Natl
Acad Sci 1993;90:9758-9765. Abbey CK, Barrett HH. Human- and model-observer performance in
ramp-spectrum noise. J Opt Soc Am A 2001;18:473-488 (channels of differences of Gaussians).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from fusionprep.errors import DataError
from fusionprep.evaluation.lesions import READER_NOISE, Condition, Planted, Reader, plant
from fusionprep.evaluation.visibility import Fuse

CHANNELS = (0.5, 0.75, 1.125, 1.6875, 2.53125)
"""Scales of the channels' centres, in scales of the lesion."""

SURROUND = 1.66
"""Scale of a channel's surround, in scales of its centre (Abbey and Barrett 2001)."""


@dataclass(frozen=True)
class Reading:
    """What the channels say about the lesions of one kind in one image.

    Attributes
    ----------
    signals
        (lesions, channels): what each lesion adds, dark ones with their sign turned.
    clutter
        (channels, channels): covariance of the channels without lesions over the brain.
    """

    signals: np.ndarray
    clutter: np.ndarray


def channels(image: np.ndarray, reader: Reader, size: float) -> np.ndarray:
    """The response of each channel at each place.

    Parameters
    ----------
    image
        Slice or volume in [0, 1], of the shape of the reader's brain.
    size
        Of the lesion that is looked for.

    Returns
    -------
    numpy.ndarray
        (channels, ...), the channels first.
    """
    return np.stack(
        [
            reader.smooth(image, scale * size) - reader.smooth(image, SURROUND * scale * size)
            for scale in CHANNELS
        ]
    )


def read_channels(
    reader: Reader, size: float, planted: Planted, without: np.ndarray, change: np.ndarray
) -> Reading:
    """Read an image without and with lesions.

    Parameters
    ----------
    without
        The image without lesions, fused or a source.
    change
        What the lesions change in it.
    """
    signals = [response[planted.at] for response in channels(change, reader, size)]
    return Reading(
        signals=np.stack(signals, axis=1) * planted.signs[:, None],
        clutter=np.cov(channels(without, reader, size)[:, reader.inside]),
    )


def detectability(readings: Iterable[Reading]) -> float:
    """The observer's d' over all images: sqrt(s' K^-1 s).

    s is the mean signal of the channels; K the mean of their covariances without and with a lesion,
    which differ by the variation of the signals, plus the reader's own noise in each channel.

    Raises
    ------
    DataError
        When there are fewer than two lesions.
    """
    readings = tuple(readings)
    signals = np.concatenate([each.signals for each in readings] or [np.empty((0, 0))])
    if len(signals) < 2:
        raise DataError("an observer needs two lesions or more")
    clutter = np.mean([each.clutter for each in readings], axis=0)
    covariance = clutter + 0.5 * np.cov(signals.T) + READER_NOISE**2 * np.eye(len(clutter))
    mean = signals.mean(axis=0)
    return float(np.sqrt(mean @ np.linalg.solve(covariance, mean)))


def efficiency(
    fuse: Fuse,
    pairs: Sequence[tuple[np.ndarray, np.ndarray, Reader]],
    condition: Condition,
    rng: np.random.Generator,
) -> float:
    """How detectable lesions are in the fused images: their d' as a share of that in the source.

    Parameters
    ----------
    fuse
        (anatomical, functional) to fused; called twice for each pair.
    pairs
        Anatomical and functional image in [0, 1], and the reader of their brain.
    condition
        The lesions, which are planted in one source.
    rng
        Draws the places.
    """
    in_source: list[Reading] = []
    in_fused: list[Reading] = []
    for anatomical, functional, reader in pairs:
        sources = [np.asarray(anatomical), np.asarray(functional)]
        own = sources[condition.index]
        planted = plant(own, reader, condition, rng)
        fused = np.asarray(fuse(*sources))
        sources[condition.index] = planted.image
        for readings, without, changed in (
            (in_source, own, planted.image),
            (in_fused, fused, fuse(*sources)),
        ):
            readings.append(
                read_channels(reader, condition.size, planted, without, changed - without)
            )
    return detectability(in_fused) / detectability(in_source)
