"""``fusionapp`` as the pages' commands call it in the tests: the same, on less.

Datasets of the demo have voxels of 3 mm, images are processed with ``--sloppy``, and of the demo's
subjects only the first, unless the command names others.
"""

import sys
from pathlib import Path

from bids_app.run import main
from fusionprep.demo.dataset import write_demo_dataset

VOXEL_MM = 3.0
QUICK = ["--sloppy", "--skip-bids-validation"]


def quick_main(argv: list[str]) -> int:
    """Run the command on less."""
    if argv[:1] == ["demo"]:
        write_demo_dataset(Path(argv[1]), voxel_size=VOXEL_MM, lesion="--lesion" in argv)
        return 0
    if "participant" in argv and "--dry-run" not in argv:
        argv = [*argv, *QUICK]
        if "--nprocs" not in argv:
            argv += ["--nprocs", "2"]
        if "--participant-label" not in argv and (Path(argv[0]) / "sub-01").is_dir():
            argv += ["--participant-label", "01"]
    return main(argv)


if __name__ == "__main__":
    sys.exit(quick_main(sys.argv[1:]))
