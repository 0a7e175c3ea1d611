"""The run sheet: every run of a paper on every data set, with its settings resolved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from avbalance.declared import listed, nearest
from avbalance.errors import UserError
from avbalance.plan.trees import merge, plain


@dataclass(frozen=True)
class Row:
    """One run on one data set, for several seeds."""

    paper: str
    role: str  # the paper's data set that `dataset` is or stands for
    dataset: str
    run: str
    label: str
    method: str
    settings: dict[str, Any]
    seeds: tuple[int, ...]
    needs: dict[str, dict[str, str]] = field(default_factory=dict)  # name -> {run, file}, same seed
    choose: dict[str, Any] | None = None  # {option, candidates: {run: value or settings}, seeds: {run: seed}}
    combine: dict[str, str] = field(default_factory=dict)  # name -> run whose predictions this one joins; no training
    artifacts: tuple[str, ...] = ()  # further files that the method writes, for other runs to read
    reports: bool = True  # False: made for its artifacts only, without predictions
    joined: bool = False  # a cell of its data set holds all methods
    robustness: bool = False  # on a further generator seed: enters the robustness table only

    @property
    def candidates(self) -> dict[str, Any]:
        """Runs among which an option is chosen, with its value there."""
        candidates: dict[str, Any] = self.choose["candidates"] if self.choose else {}
        return candidates

    def waits_for(self) -> list[str]:
        """Runs of the same sheet whose files this one reads."""
        return sorted({*(need["run"] for need in self.needs.values()), *self.candidates})

    def reads(self) -> list[str]:
        """Runs of the same sheet whose files or predictions this one needs."""
        return [*self.waits_for(), *self.combine.values()]

    @property
    def parts(self) -> tuple[str, str | None, str | None]:
        """The code that trains it: method, model (none: it joins other runs) and task (none: the default one)."""
        return self.method, self.settings.get("model", {}).get("name"), self.settings.get("data", {}).get("task")


def rows_of_paper(config: dict[str, Any], paper: dict[str, Any]) -> list[Row]:
    """All rows of one paper under one configuration.

    `config["papers"][slug]` maps the paper's data sets to real ones and may override settings for all runs
    (`settings`), those on one data set (`roles`: settings, seeds) or single runs (`runs`: skip, only, seeds, settings,
    choose). Raises UserError for names that the paper lacks.
    """
    choice = config["papers"][paper["slug"]]
    where = f"configuration, papers.{paper['slug']}"
    named = [(key, choice.get(key, {}), "datasets") for key in ("datasets", "roles")]
    for run, own in choice.get("runs", {}).items():
        named += [
            (f"runs.{run}.only", own.get("only", ()), "datasets"),
            (f"runs.{run}.roles", own.get("roles", ()), "datasets"),
        ]
    further = choice.get("robustness") or {}
    named += [(f"robustness.{key}", further.get(key, ()), key) for key in ("datasets", "runs")]
    for key, names, kind in named:
        for name in names:
            if name not in (known := paper[kind]):
                raise UserError(
                    f"{where}.{key}: the paper has no {name!r}{nearest(name, known)}; it has {listed(known)}."
                )
    rows = [
        row
        for role, dataset in choice.get("datasets", {}).items()
        if dataset is not None  # a tier built on another one leaves this role out
        for run in paper["runs"]
        if (row := _row(config["seeds"], paper, choice, role, dataset, run)) is not None
    ]
    rows = [*rows, *_robustness_rows(choice, rows)]
    by_name = {(row.dataset, row.run): row for row in rows}
    left_out = [run for run, told in choice.get("runs", {}).items() if told.get("skip")]
    rows = [_with_candidates(row, by_name, left_out) for row in rows]
    return _reported_and_read(rows, config.get("least_seeds", 1))


def _row(
    seeds: list[int], paper: dict[str, Any], choice: dict[str, Any], role: str, dataset: str, run: str
) -> Row | None:
    """One run on one data set; None where it is not made there. What is later in `layers` counts."""
    declared, tier = _on(role, paper["runs"][run]), _on(role, choice.get("runs", {}).get(run, {}))
    own = choice.get("roles", {}).get(role, {})
    made_on_it = run in paper["datasets"][role].get("runs", [run])
    if tier.get("skip") or not made_on_it or role not in tier.get("only", declared.get("only", [role])):
        return None
    settings: dict[str, Any] = {}
    for layer in (paper, paper["datasets"][role], declared, choice, own, tier):
        settings = merge(settings, layer.get("settings", {}))
    return Row(
        paper=paper["slug"],
        role=role,
        dataset=dataset,
        run=run,
        label=declared["label"],
        method=declared["method"],
        settings=plain(settings),
        seeds=tuple(next(layer["seeds"] for layer in (tier, declared, own, {"seeds": seeds}) if "seeds" in layer)),
        needs=declared.get("needs", {}),
        choose=plain(tier["choose"] if "choose" in tier else declared.get("choose")),
        combine=declared.get("combine", {}),
        artifacts=tuple(declared.get("artifacts", ())),
        reports=declared.get("reports", True),
        joined=choice.get("cells", "method") == "dataset",
    )


def _on(role: str, run: dict[str, Any]) -> dict[str, Any]:
    """What is said of a run, with what is said of it on one data set."""
    return merge(run, run.get("roles", {}).get(role, {}))


def _robustness_rows(choice: dict[str, Any], rows: list[Row]) -> Iterator[Row]:
    """Rows of `robustness: {datasets: {role: [...]}, runs: [...], seeds: [...]}`: runs on more generator seeds."""
    wanted: dict[str, Any] = choice.get("robustness") or {}
    for role, datasets in wanted.get("datasets", {}).items():
        for dataset in datasets:
            for row in rows:
                if row.role == role and row.run in wanted["runs"]:
                    yield replace(row, dataset=dataset, seeds=tuple(wanted["seeds"]), robustness=True)


def _with_candidates(row: Row, rows: Mapping[tuple[str, str], Row], left_out: list[str]) -> Row:
    """The row with what its candidates try, and under which seed: the first of theirs.

    A tier that leaves out some candidates narrows the search. Raises UserError for a candidate that is not made on the
    data set for another reason, where all are left out and, where all settings are chosen, for one of another method,
    or of a seed that this run has: what a choice saw must be no part of its result.
    """
    if row.choose is None:
        return row
    tried, seeds = {}, {}
    kept = {name: value for name, value in row.candidates.items() if name not in left_out}
    for name, value in (kept or row.candidates).items():
        where, candidate = f"paper {row.paper}, run {row.run} on {row.dataset}", rows.get((row.dataset, name))
        if candidate is None:
            raise UserError(f"{where}: its candidate {name} is not made there; make it, or set choose to null.")
        seeds[name] = candidate.seeds[0]
        tried[name] = value if row.choose.get("option") else candidate.settings
        # of a run that is not reported, such as a teacher of trials, no report shows the result
        same = candidate.method == row.method and not (row.reports and seeds[name] in row.seeds)
        if not (row.choose.get("option") or same):
            raise UserError(
                f"{where}: its candidate {name} trains {candidate.method} with seed {seeds[name]}; it must train "
                f"{row.method} with a seed that is none of {', '.join(map(str, row.seeds))}."
            )
    return replace(row, choose={**row.choose, "candidates": tried, "seeds": seeds})


def _reported_and_read(rows: list[Row], least_seeds: int) -> list[Row]:
    """The reported rows of at least `least_seeds` seeds, and those whose files these read, directly or not.

    Raises UserError where no row has so many.
    """
    reported = [row for row in rows if row.reports]
    kept = {(row.dataset, row.run) for row in reported if len(row.seeds) >= least_seeds}
    if reported and not kept:
        most = max(len(row.seeds) for row in reported)
        raise UserError(
            f"configuration, least_seeds: is {least_seeds}; runs of {rows[0].paper} have {most} at the most."
        )
    read = kept
    while read:
        wanted = [(row, name) for row in rows if (row.dataset, row.run) in read for name in row.reads()]
        read = {(row.dataset, name) for row, name in wanted} - kept
        kept |= read
    return [row for row in rows if (row.dataset, row.run) in kept]
