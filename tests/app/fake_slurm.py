"""Stand-ins for Slurm's programs that run jobs on this machine, for tests without a cluster."""

import stat
import sys
from pathlib import Path

SBATCH = """
import os, re, subprocess, sys
from pathlib import Path

root = Path(__file__).parent / "jobs"
root.mkdir(exist_ok=True)
words, script = sys.argv[1:-1], sys.argv[-1]
if "nowhere" in words:
    sys.exit("sbatch: error: invalid partition specified: nowhere")
number = len(list(root.glob("*.call"))) + 1
while True:
    try:
        (root / f"{number}.call").touch(exist_ok=False)
        break
    except FileExistsError:
        number += 1
(root / f"{number}.call").write_text(" ".join(words))
output = words[words.index("-o") + 1].replace("%j", str(number))
dependency = next((word for word in words if word.startswith("--dependency=")), "")
before = re.findall(r"\\d+", dependency)
waiter = Path(__file__).with_name("waiter")
subprocess.Popen(
    [sys.executable, waiter, root, str(number), script, output, *before],
    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    start_new_session=True,
)
print("Submitted batch job", number)
"""
WAITER = """
import subprocess, sys, time
from pathlib import Path

root, number, script, output, *before = sys.argv[1:]
own, cancelled = Path(root, f"{number}.end"), Path(root, f"{number}.cancelled")

def wait_for(done):
    while not done():
        if cancelled.exists():
            own.write_text("cancelled")
            sys.exit()
        time.sleep(0.02)

ends = [Path(root, f"{job}.end") for job in before]
# as in Slurm, a job whose dependency failed stays in the queue
wait_for(lambda: all(end.exists() and end.read_text() == "0" for end in ends))
Path(root, f"{number}.running").touch()
with open(output, "w") as file:
    job = subprocess.Popen(["bash", script], stdout=file, stderr=file)
    while job.poll() is None:
        if cancelled.exists():
            job.terminate()
        time.sleep(0.02)
# complete before it is seen
temporary = own.with_suffix(".tmp")
temporary.write_text(str(job.returncode))
temporary.replace(own)
"""
SQUEUE = """
import os, sys
from pathlib import Path

here = Path(__file__).parent
if (here / "down").exists():
    (here / "down").unlink()
    sys.exit("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
for call in (here / "jobs").glob("*.call"):
    if not call.with_suffix(".end").exists():
        print(call.stem, "R" if call.with_suffix(".running").exists() else "PD")
"""
SCANCEL = """
import sys
from pathlib import Path

for job in sys.argv[1:]:
    (Path(__file__).parent / "jobs" / f"{job}.cancelled").touch()
"""
PROGRAMS = {"sbatch": SBATCH, "waiter": WAITER, "squeue": SQUEUE, "scancel": SCANCEL}


def install(folder: Path) -> Path:
    """Write the programs into a folder for the PATH; ``jobs/N.call`` in it describes job N."""
    folder.mkdir()
    for name, text in PROGRAMS.items():
        program = folder / name
        program.write_text(f"#!{sys.executable}{text}")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return folder
