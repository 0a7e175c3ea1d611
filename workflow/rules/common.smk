"""Purpose: the plan of this configuration and the few functions that rules share. Inputs: config/, workflow/papers/. Outputs: none."""

import atexit
import logging
import shlex
import sys
from functools import partial
from pathlib import Path

ROOT = Path(str(workflow.current_basedir)).parents[1]
# The code that jobs run, whatever else is installed.
sys.path.insert(0, str(ROOT / "src"))

from avbalance.checkout import lacking_package

try:
    from avbalance.cluster.inventory import asks_for_dry_run, told_in_dry_run
    from avbalance.errors import Faults, UserError
    from avbalance.names import rule_name
    from avbalance.plan.config import load_yaml
    from avbalance.plan.plan import load_plan
    from avbalance.workflow import WORKFLOW
    from flowkeeper.brief import Brief
    from flowkeeper.digests import settings_digest
    from flowkeeper.hooks import after_running, before_planning, before_running
    from flowkeeper.interface import ResultSet
except ModuleNotFoundError as error:
    sys.exit(f"error: {lacking_package(error)}")


def say(sentence):
    """A line for the person at the screen."""
    print(sentence, file=sys.stderr)


def load_or_exit():
    """The plan, or one sentence and the end: a wrong configuration is no traceback."""
    try:
        if workflow.is_main_process:
            # Snakemake has read these already: it keeps the last of two equal keys without a word.
            for path in workflow.configfiles:
                load_yaml(Path(path))
        plan = load_plan(ROOT, config)
        if workflow.is_main_process:
            # Imports pandas: the processes of jobs need not wait for it.
            from avbalance.reporting.check import check_reports, check_settings

            check_reports(plan)
            for sentence in plan.oddities():
                say(f"note: {sentence}")
            for sentence in plan.preflight():
                say(f"preflight: {sentence}")
            check_settings(plan)
            before_planning(ResultSet(WORKFLOW, Path.cwd(), plan.name), say)
            if asks_for_dry_run(sys.argv):
                for line in told_in_dry_run(plan):
                    say(line)
                atexit.register(say_again, plan.preflight())
        return plan
    except UserError as error:
        sys.exit("\n".join(f"error: {sentence}" for sentence in Faults.of(error)))


def say_again(faults):
    """Below the jobs of a dry run, where they are seen: what stops a run before its first job."""
    if faults:
        say("\nA run would stop before its first job:")
        for sentence in faults:
            say(f"  {sentence}")


def start():
    """Before the first job."""
    stop_if_media_are_missing()
    try:
        before_running(ResultSet(WORKFLOW, Path.cwd(), PLAN.name), PLAN, say)
    except UserError as error:
        sys.exit(f"error: {error}")
    if PLAN.config["takes"]:
        say(f"A whole run of {PLAN.name} takes {PLAN.config['takes']}.")


def finish():
    """After the last job, or when one has failed."""
    after_running(ResultSet(WORKFLOW, Path.cwd(), PLAN.name), PLAN, say)


def tell_page():
    """The last line of a run that went well: where all of it can be seen."""
    if Path(PLAN.page_file).is_file():
        say(
            f"The evidence on one page: {PLAN.page_file} (avbalance open {PLAN.name} opens it)"
        )


def stop_if_media_are_missing():
    """End before the first job when a data set cannot be read (a dry run only says so)."""
    missing = PLAN.preflight()
    if missing:
        sys.exit("\n".join(f"error: {sentence}" for sentence in missing))


def name_jobs_shortly():
    """Let a job that starts be told in a line: its files may be hundreds. A dry run lists them, a logger gets all."""
    if not asks_for_dry_run(sys.argv):
        if workflow.is_main_process and "--logger" not in sys.argv:
            logging.getLogger("snakemake.logging").addFilter(Brief())
        for each in workflow.rules:
            named = f"{each.name} {{wildcards}}" if each.wildcard_names else each.name
            each.message = f"{named}, see {{log}}" if each.log else named


def ancestor(levels, path):
    """The folder `levels` above a file."""
    return str(Path(path).parents[levels - 1])


def reported(slug, kind, path):
    """A file of a table or figure; `snakemake --report` shows the kind that its reader can look at."""
    if not path.endswith(SHOWN[kind]):
        return path
    item = Path(path).stem
    return report(
        path,
        caption=f"../report/{kind}.rst",
        category=PLAN.papers[slug]["title"],
        subcategory=kind.capitalize(),
        labels={"item": item, "title": PLAN.declared(slug, kind)[item]["title"]},
    )


# What a cluster is asked for by jobs of few minutes and below 1 GB: minutes and megabytes.
SHORT_JOB = {
    "runtime": lambda wildcards, attempt: 10 * attempt,
    "mem_mb": lambda wildcards, attempt: 2000 * attempt,
}

# The files of tables and figures that `snakemake --report` shows.
SHOWN = {"tables": ".md", "figures": ".svg"}

# Tensors of a training are freed and wanted again in every step; by default glibc returns large ones to the system each
# time, and every page is then zeroed anew. Other C libraries do not read these names.
KEPT_MEMORY = {
    "MALLOC_MMAP_THRESHOLD_": 1 << 32,
    "MALLOC_TRIM_THRESHOLD_": 1 << 32,
    "MALLOC_TOP_PAD_": 1 << 26,
}


def job_environment():
    """Let jobs find the code, and this environment's programs even when it is not activated; conda brings its own."""
    exports = [f"export PYTHONPATH={shlex.quote(str(ROOT / 'src'))}"]
    exports += [
        f"export {name}=${{{name}:-{size}}}" for name, size in KEPT_MEMORY.items()
    ]
    if not workflow.deployment_settings.deployment_method:
        exports.append(
            f"export PATH={shlex.quote(str(Path(sys.executable).parent))}:$PATH"
        )
    return "; ".join(exports).replace("{", "{{").replace("}", "}}")


def store_options(files):
    """The feature stores among the inputs of a training, as options of the train command."""
    read = {name: files.get(name) for name in ("audio", "visual")}
    return " ".join(
        f"--{name} {ancestor(1, paths[0])}" for name, paths in read.items() if paths
    )


def cell_settings(training, wildcards):
    """Digest of what the train command of one job reads."""
    return settings_digest(PLAN.cell_spec(training.of(wildcards)))


def final_files():
    """Everything that `snakemake` without a target makes: what is made of every paper, and what describes it."""
    return [*PLAN.described_files(), PLAN.page_file, *PLAN.crate_files()]


PLAN = load_or_exit()

shell.prefix(f"set -euo pipefail; {job_environment()}; ")


wildcard_constraints:
    slug="|".join(PLAN.papers) or "none",
    dataset=r"[\w.-]+",
    recipe=r"[\w.-]+",
