"""Plugin files that no plugin can be made of: one line, exit code 64, nothing written."""

import pytest

from bids_app.plugins.plugin_file import check_plugin_settings, read_plugin_file
from fusionprep.config import Config
from fusionprep.config_file import read_options, to_toml
from tests.faults.attacks import Attack, Scene, attempt, in_table
from tests.faults.test_usage import HUGE, told_in_one_line

LAUGHS = "a0: &a0 [x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)
MERGED = "a0: &a0 {x: 1}\n" + "".join(
    f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)
)


def _plugin(content: str | bytes):
    def prepare(scene: Scene) -> list[str]:
        path = scene.bids.parent / "plugin.yml"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return ["--use-plugin", str(path)]

    return prepare


def _arguments(text: str, name: str = "MultiProc") -> str:
    return f"plugin: {name}\nplugin_args: {text}\n"


CONTENTS = {
    "plugin-empty": ("", "it is empty"),
    "plugin-blank": ("\n\n", "must hold plugin: NAME"),
    "plugin-list": ("- plugin: MultiProc\n", "must hold plugin: NAME"),
    "plugin-text": ("MultiProc\n", "must hold plugin: NAME"),
    "plugin-number": ("5\n", "must hold plugin: NAME"),
    "plugin-name-list": ("plugin: [MultiProc]\n", "must hold plugin: NAME"),
    "plugin-name-object": ("plugin: {MultiProc: 1}\n", "must hold plugin: NAME"),
    "plugin-name-null": ("plugin:\n", "must hold plugin: NAME"),
    "plugin-name-unknown": ("plugin: Debug\n", "must hold plugin: NAME"),
    "plugin-brackets": ("plugin: [\n", "cannot read the plugin file"),
    "plugin-braces": ("plugin: MultiProc\nplugin_args: {n_procs: 1\n", "cannot read the plugin"),
    "plugin-quote": ("plugin: 'MultiProc\n", "cannot read the plugin file"),
    "plugin-tab": ("plugin: MultiProc\nplugin_args:\n\tn_procs: 1\n", "cannot read the plugin"),
    "plugin-date": (_arguments("{template: 2020-13-45}"), "cannot read the plugin file .* month"),
    "plugin-time": (_arguments("{template: 2020-01-01 99:99:99}"), "cannot read the plugin"),
    "plugin-key-date": ("2020-13-45: x\n", "cannot read the plugin file"),
    "plugin-hex": (_arguments("{n_procs: 0x_}"), "cannot read the plugin file"),
    "plugin-digits": (_arguments(f"{{n_procs: {HUGE}}}"), "cannot read the plugin file"),
    "plugin-hex-digits": (_arguments(f"{{n_procs: 0x{HUGE}}}"), "n_procs must be at most 10000"),
    "plugin-binary": (b"\x80\x81\xff\x00\xfe", "not text in Unicode"),
    "plugin-image": (b"\x1f\x8b" + bytes(500), "cannot read the plugin file"),
    "plugin-control": (b"plugin: \x07MultiProc\n", "cannot read the plugin file"),
    "plugin-documents": ("plugin: Linear\n---\nplugin: SGE\n", "cannot read the plugin file"),
    "plugin-large": ("# " + "x" * 200_000, "larger than 128 kB"),
    "plugin-tag": ("plugin: !!python/object:os.system {}\n", "the tag .* is not read"),
    "plugin-call": ("!!python/object/apply:os.system ['id']\n", "the tag .* is not read"),
    "plugin-tag-bool": (_arguments("{raise_insufficient: !!bool maybe}"), "the tag .* not read"),
    "plugin-tag-date": (_arguments("{template: !!timestamp never}"), "the tag .* is not read"),
    "plugin-laughs": (LAUGHS, "anchors and aliases are not read"),
    "plugin-merged": (MERGED, "anchors and aliases are not read"),
    "plugin-itself": ("&a [*a]\n", "anchors and aliases are not read"),
    "plugin-deep": ("[" * 50_000, "nested too deep"),
    "plugin-deep-objects": ("{a: " * 30_000, "nested too deep"),
    "plugin-deep-dashes": ("- " * 50_000, "nested too deep"),
    "plugin-twice": ("plugin: Linear\nplugin: SGE\n", "'plugin' is given twice"),
    "plugin-argument-twice": (_arguments("{n_procs: 1, n_procs: 2}"), "'n_procs' is given twice"),
    "plugin-more": ("plugin: Linear\nargs: {}\n", "no more"),
    "plugin-more-numbers": ("plugin: Linear\n1: {}\nx: 2\n", "no more"),
    "plugin-args-list": (_arguments("[n_procs]"), "no more"),
    "plugin-args-text": (_arguments("n_procs=4"), "no more"),
    "plugin-args-number": (_arguments("4"), "no more"),
    "plugin-unknown": (_arguments("{n_proc: 4}"), "MultiProc has no argument 'n_proc'; use n_pro"),
    "plugin-unknown-list": (_arguments("{? [1] : 4}"), "cannot read the plugin file"),
    "plugin-unknown-number": (_arguments("{4: 4}"), "MultiProc has no argument 4"),
    "plugin-callback": (_arguments("{status_callback: x}"), "has no argument 'status_callback'"),
    "plugin-nprocs-negative": (_arguments("{n_procs: -4}"), "n_procs must be at least 1, not -4"),
    "plugin-nprocs-zero": (_arguments("{n_procs: 0}"), "n_procs must be at least 1"),
    "plugin-nprocs-word": (_arguments('{n_procs: "lots"}'), "n_procs must be a whole number, not"),
    "plugin-nprocs-text": (_arguments('{n_procs: "4"}'), "n_procs must be a whole number, not"),
    "plugin-nprocs-float": (_arguments("{n_procs: 1.5}"), "n_procs must be a whole number"),
    "plugin-nprocs-yes": (_arguments("{n_procs: yes}"), "n_procs must be a whole number, not True"),
    "plugin-nprocs-null": (_arguments("{n_procs: }"), "n_procs must be a whole number, not None"),
    "plugin-nprocs-list": (_arguments("{n_procs: [1]}"), "n_procs must be a whole number"),
    "plugin-memory-word": (_arguments("{memory_gb: abc}"), "memory_gb must be a number, not 'abc'"),
    "plugin-memory-zero": (_arguments("{memory_gb: 0}"), "memory_gb must be above 0"),
    "plugin-memory-negative": (_arguments("{memory_gb: -8}"), "memory_gb must be above 0"),
    "plugin-memory-nan": (_arguments("{memory_gb: .nan}"), "memory_gb must be above 0"),
    "plugin-memory-inf": (_arguments("{memory_gb: .inf}"), "memory_gb must be above 0"),
    "plugin-context": (_arguments("{mp_context: thread}"), "mp_context must be one of fork"),
    "plugin-scheduler": (_arguments("{scheduler: [tsort]}"), "scheduler must be one of"),
    "plugin-insufficient": (_arguments("{raise_insufficient: maybe}"), "must be true or false"),
    "plugin-linear": (_arguments("{n_procs: -1}", "Linear"), "n_procs must be at least 1"),
    "plugin-slurm-option": (_arguments("{sbatch_arg: x}", "SLURM"), "SLURM has no argument"),
    "plugin-slurm-local": (_arguments("{n_procs: 4}", "SLURM"), "SLURM has no argument 'n_procs'"),
    "plugin-slurm-args": (_arguments("{sbatch_args: [-p, x]}", "SLURM"), "sbatch_args must be a"),
    "plugin-slurm-number": (_arguments("{sbatch_args: 5}", "SLURM"), "put it in quotes"),
    "plugin-slurm-quote": (
        _arguments('{sbatch_args: "-J \'x"}', "SLURM"),
        "quotation mark without",
    ),
    "plugin-slurm-nul": (_arguments('{sbatch_args: "a\\0b"}', "SLURM"), "NUL character"),
    "plugin-slurm-surrogate": (_arguments('{template: "\\ud800"}', "SLURM"), "not in UTF-8"),
    "plugin-slurm-pattern": (_arguments('{jobid_re: "("}', "SLURM"), "not a regular expression"),
    "plugin-slurm-jobs": (_arguments("{max_jobs: 0}", "SLURM"), "max_jobs must be at least 1"),
    "plugin-slurm-tries": (_arguments("{max_tries: many}", "SLURM"), "max_tries must be a whole"),
    "plugin-slurm-wait": (_arguments("{retry_timeout: -1}", "SLURM"), "retry_timeout must be abov"),
    "plugin-graph-again": (
        _arguments("{dont_resubmit_completed_jobs: 3}", "SLURMGraph"),
        "must be true or false",
    ),
    "plugin-pbs-template": (_arguments("{template: }", "PBS"), "template must be a text, not None"),
    "plugin-sge-args": (_arguments("{qsub_args: {q: x}}", "SGE"), "qsub_args must be a text"),
    "plugin-lsf-option": (_arguments("{qsub_args: x}", "LSF"), "LSF has no argument 'qsub_args'"),
    "plugin-oar-name": (_arguments("{max_jobname_len: -1}", "OAR"), "max_jobname_len must be at"),
}
ATTACKS = {
    name: Attack(name.replace("-", " "), _plugin(content), (64,), says)
    for name, (content, says) in CONTENTS.items()
}


@in_table(ATTACKS)
def test_a_wrong_plugin_file_ends_in_one_line(attack, scene):
    told_in_one_line(attempt(scene, "--dry-run", *attack.prepare(scene)), attack)


@pytest.mark.parametrize(
    "text",
    [
        "plugin: Linear\n",
        "plugin: MultiProc\nplugin_args:\n",
        _arguments("{n_procs: 4, memory_gb: 7.5, raise_insufficient: false, scheduler: tsort}"),
        _arguments("{max_jobs: 9, max_tries: 1, retry_timeout: 0, sbatch_args: ''}", "SLURM"),
        _arguments("{dont_resubmit_completed_jobs: true}", "SLURMGraph"),
        _arguments("\n  template: |\n    #!/bin/bash\n    module load x\n", "PBS"),
        "\ufeffplugin: SGE\n",
    ],
)
def test_right_ones_are_read_and_survive_the_configuration_file(tmp_path, text):
    file = tmp_path / "plugin.yml"
    file.write_text(text, "utf-8")
    settings = read_plugin_file(file)
    folders = {name: tmp_path / name for name in ("bids_dir", "output_dir", "work_dir")}
    config = Config.from_options(**folders, plugin_file=file, plugin=settings)
    (tmp_path / "fusionprep.toml").write_text(to_toml(config), "utf-8")
    again = read_options(tmp_path / "fusionprep.toml")["plugin"]
    assert check_plugin_settings("x", again) == settings


def test_a_plugin_in_a_configuration_file_is_checked_as_well(scene, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text('[execution.plugin]\nplugin = "MultiProc"\nplugin_args = {n_procs = 0}\n')
    run = attempt(scene, "--dry-run", "--config-file", str(file))
    told_in_one_line(run, Attack("", _plugin(""), (64,), "n_procs must be at least 1"))


def test_an_earlier_configuration_that_names_the_file_alone(scene, tmp_path):
    (tmp_path / "plugin.yml").write_text("plugin: Debug\n")
    file = tmp_path / "a.toml"
    file.write_text(f'plugin_file = "{tmp_path}/plugin.yml"\n')
    run = attempt(scene, "--dry-run", "--config-file", str(file))
    told_in_one_line(run, Attack("", _plugin(""), (64,), "must hold plugin: NAME"))
