"""What can be seen in fused colour images and read back from them, and the search for the maps.

    python benchmarks/colour_map.py --shared-data DIR
    python benchmarks/colour_map.py --shared-data DIR --search clear --minutes 5

The first compares the packaged maps with common schemes on the slices of ``reader.py``. The second
looks for the numbers of a map by differential evolution, on a part of the slices, and prints them:
the chroma of hot places is what it maximises, under the bars of :data:`BARS`.
"""

import argparse
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from reader_slices import Slice, reader_slices

from fusionprep.evaluation.colour_reading import (
    SHOWN,
    ColourSummary,
    combine_colours,
    read_colours,
)
from fusionprep.image.colour import COLOUR_MAPS
from fusionprep.image.colour_space import lab_to_linear, linear_to_srgb, srgb_to_lab
from fusionprep.image.colour_table import (
    ColourMap,
    Decoder,
    displayable_share,
    look_up,
    make_table,
)
from fusionprep.modalities import PET, SPECT, Modality

LEVEL = np.linspace(0, 1, 256)
HOT = 0.5
FADED = 0.1

LIMITS = np.array(
    [
        # share, lightest, h0, h1, hue_bend, hue_tilt, c0, c1, chroma_bend, full_chroma_from, paler
        (0.2, 91, 285, 430, 0.45, 0, 10, 33, 0.4, 10, 0.0),
        (0.36, 97, 330, 446, 1.3, 45, 45, 95, 2.0, 80, 0.5),
    ]
)
POPULATION = 12


@dataclass(frozen=True)
class Bars:
    """What a map must reach in the search, a little above what it must reach in the end."""

    difference: float
    noisy: float
    deuteranopic: float
    cut: float
    print_anatomical: float = 0.68
    print_functional: float = 0.33
    error: float = 4.0


BARS = {
    "clear": Bars(0.575, 0.98, 0.98, 0.012, error=2.5),
    "vivid": Bars(0.45, 0.97, 0.955, 0.08),
}


@dataclass(frozen=True)
class Scheme:
    """A table and the part of its chroma that sRGB shows."""

    table: np.ndarray
    shown: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared-data", type=Path, required=True, metavar="DIR")
    parser.add_argument("--search", choices=tuple(BARS))
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    slices = {kind: reader_slices(options.shared_data, kind) for kind in (PET, SPECT)}
    if options.search:
        few = {kind: each[1 :: 4 if kind is PET else 3] for kind, each in slices.items()}
        search(few, options.search, options.minutes, options.seed)
        return
    for name, scheme in schemes().items():
        for kind, pairs in slices.items():
            print_row(name, scheme, kind, pairs)
        print(f"{'':24}round trip: {round_trip(scheme.table)}", flush=True)


def schemes() -> dict[str, Scheme]:
    """The packaged maps, and what others do."""
    from matplotlib import colormaps

    m, f = LEVEL[:, None], LEVEL[None]
    fade = np.clip(f / FADED, 0, 1)
    plasma = srgb_to_lab(as_bytes(colormaps["plasma"](LEVEL)[:, :3]))[None, :, 1:]
    hue, chroma = np.radians(290 + 150 * f), (6 + 34 * f) * fade
    ramp = np.stack([chroma * np.cos(hue), chroma * np.sin(hue)], axis=-1)
    hot = np.rint(127.5 * (m[..., None] + colormaps["hot"](LEVEL)[None, :, :3])).astype(np.uint8)
    return {
        **{name: Scheme(*make_table(each)) for name, each in COLOUR_MAPS.items()},
        "L = MRI, plasma": in_srgb(100 * m + 0 * f, plasma * fade[..., None]),
        "L = .15+.7 MRI, plasma": in_srgb(15 + 70 * m + 0 * f, plasma * fade[..., None]),
        "L = .1+.6 MRI+.2 f, ramp": in_srgb(10 + 60 * m + 20 * f, ramp),
        "hot overlay, 50%": Scheme(hot, np.ones((256, 256))),
    }


def as_bytes(colours: np.ndarray) -> np.ndarray:
    """Colours (..., 3) in [0, 1], already sRGB, as uint8."""
    return np.rint(255 * colours).astype(np.uint8)


def in_srgb(lightness: np.ndarray, chroma: np.ndarray) -> Scheme:
    """A scheme of L* (256, 256) and a*, b* (1, 256, 2), its chroma cut where sRGB ends."""
    lab = np.concatenate(
        [lightness[..., None], np.broadcast_to(chroma, (*lightness.shape, 2))], axis=-1
    )
    shown = displayable_share(lab)
    lab[..., 1:] *= shown[..., None]
    return Scheme(linear_to_srgb(lab_to_linear(lab)), shown)


def measure(scheme: Scheme, kind: Modality, pairs: list[Slice]) -> tuple[ColourSummary, float]:
    """The reading, and the share of the brains whose chroma is cut."""
    rng = np.random.default_rng(0)
    readings = [
        read_colours(scheme.table, each.anatomical, each.functional, each.brain, kind, rng=rng)
        for each in pairs
    ]
    cut = [
        np.mean(look_up(scheme.shown, each.anatomical, each.functional)[each.brain] < SHOWN)
        for each in pairs
    ]
    return combine_colours(readings), float(np.mean(cut))


def print_row(name: str, scheme: Scheme, kind: Modality, pairs: list[Slice]) -> None:
    found, cut = measure(scheme, kind, pairs)
    noisy = noisy_share(scheme.table, pairs)
    print(
        f"{name:26}{kind.label:6} difference {found.difference:.2f}"
        f"  gray print {found.printed[0]:.2f}/{found.printed[1]:.2f}  cut {cut:.3f}"
        f"  least R2 {found.decoded[0]:.4f}/{found.decoded[1]:.4f}"
        f"  deuteranope {found.deuteranopic[0]:.3f}/{found.deuteranopic[1]:.3f}"
        f"  R2 with noise {noisy[0]:.3f}/{noisy[1]:.3f}"
    )


def noisy_share(table: np.ndarray, pairs: list[Slice], most: int = 20_000) -> tuple[float, float]:
    """R² of both levels for a reader whose noise is 1.5 in each coordinate of CIELAB."""
    rng = np.random.default_rng(0)
    levels = np.concatenate(
        [np.stack([each.anatomical[each.brain], each.functional[each.brain]]) for each in pairs],
        axis=1,
    )
    levels = levels[:, rng.permutation(levels.shape[1])[:most]]
    lab = look_up(srgb_to_lab(table), *levels)
    read = Decoder(table).nearest(lab + 1.5 * rng.normal(size=lab.shape))
    first, second = 1 - np.mean((levels.T - read) ** 2, axis=0) / levels.var(axis=1)
    return float(first), float(second)


def round_trip(table: np.ndarray) -> str:
    """Errors in levels of 255, of L* of 10 and an uptake of .1 on, and elsewhere."""
    worst, within, elsewhere = round_trip_errors(table)
    return f"largest error {worst:.1f} of 255, {within:.2%} within 2; elsewhere {elsewhere:.1f}"


def round_trip_errors(table: np.ndarray) -> tuple[float, float, float]:
    read = np.stack(Decoder(table).decode(table))
    error = 255 * np.abs(read - np.stack(np.meshgrid(LEVEL, LEVEL, indexing="ij"))).max(axis=0)
    readable = (srgb_to_lab(table)[..., 0] >= 10) & (LEVEL >= FADED)
    within = float(np.mean(error[readable] < 2.01))
    return float(error[readable].max()), within, float(error[~readable].max())


def search(slices: dict[Modality, list[Slice]], name: str, minutes: float, seed: int) -> None:
    """Differential evolution around the packaged map of that name."""
    rng, until = np.random.default_rng(seed), time.monotonic() + 60 * minutes
    low, high = LIMITS
    start = vector(COLOUR_MAPS[name])
    tried = [np.clip(start + 0.1 * (high - low) * rng.normal(size=len(low)), low, high)]
    pool = [(score(start, name, slices), start), (score(tried[0], name, slices), tried[0])]
    while time.monotonic() < until:
        pool = sorted(pool, key=lambda each: -each[0])[:POPULATION]
        if len(pool) < POPULATION:
            new = start + 0.1 * (high - low) * rng.normal(size=len(low))
        else:
            first, second, third = (pool[i][1] for i in rng.choice(len(pool), 3, replace=False))
            base = pool[0][1] if rng.random() < 0.6 else first
            new = base + 0.7 * (second - third) * (rng.random(len(low)) < 0.7)
            new = new + 0.02 * (high - low) * rng.normal(size=len(low))
        new = np.clip(new, low, high)
        pool.append((score(new, name, slices), new))
    best = max(pool, key=lambda each: each[0])
    print(f"score {best[0]:.3f}", of_vector(best[1], name), sep="\n")


def vector(each: ColourMap) -> np.ndarray:
    return np.array(
        [
            *(each.share, each.lightest, *each.hues, each.hue_bend, each.hue_tilt),
            *(*each.chromas, each.chroma_bend, each.full_chroma_from, each.paler),
        ]
    )


def of_vector(x: np.ndarray, name: str) -> ColourMap:
    share, lightest, h0, h1, hue_bend, hue_tilt, c0, c1, chroma_bend, full, paler = x.tolist()
    return replace(
        COLOUR_MAPS[name],
        share=share,
        lightest=lightest,
        hues=(h0, h1),
        hue_bend=hue_bend,
        hue_tilt=hue_tilt,
        chromas=(c0, c1),
        chroma_bend=chroma_bend,
        full_chroma_from=full,
        paler=paler,
    )


def score(x: np.ndarray, name: str, slices: dict[Modality, list[Slice]]) -> float:
    """Chroma of hot places, less what is missing to the bars."""
    scheme, bars = Scheme(*make_table(of_vector(x, name))), BARS[name]
    chroma = np.hypot(*np.moveaxis(srgb_to_lab(scheme.table)[..., 1:], -1, 0))
    worst, within, _ = round_trip_errors(scheme.table)
    total = -0.3 * max(0, worst - bars.error) - 20 * max(0, 0.995 - within)
    for kind, pairs in slices.items():
        found, cut = measure(scheme, kind, pairs)
        reached = (
            (10, found.difference, bars.difference),
            (10, found.printed[0], bars.print_anatomical),
            (10, found.printed[1], bars.print_functional),
            (20, min(noisy_share(scheme.table, pairs, 3000)), bars.noisy),
            (20, min(found.deuteranopic), bars.deuteranopic),
            (10, -cut, -bars.cut),
        )
        total -= sum(weight * max(0, bar - value) for weight, value, bar in reached)
        hot = [each.brain & (each.functional > HOT) for each in pairs]
        of_hot = [
            look_up(chroma, each.anatomical, each.functional)[where]
            for each, where in zip(pairs, hot, strict=True)
        ]
        total += 0.005 * np.concatenate(of_hot).mean() + 0.1 * found.difference
    return float(total)


if __name__ == "__main__":
    main()
