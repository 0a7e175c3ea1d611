"""Twenty-five kills at seeded moments of the stress configuration: the next plain snakemake always goes on.

One run is left alone and watched: it gives the bytes to expect and the moments to choose from. Then a few runs are
interrupted again and again, snakemake alone, a step alone or both, with SIGKILL or SIGTERM, and each time a bare
`snakemake` is started at once, while steps of the killed one may still be at work. At the end every result has the
bytes of the run that was left alone.
"""

from __future__ import annotations

import os
import random
import shutil
import time
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from interrupted import KINDS, POLL_S, Event, Run
from workspace import Workspace, borrow_environment, copy_working_tree

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="no /proc: what is at work cannot be seen"),
]

SEED = int(os.environ.get("AVBALANCE_TEST_SEED", "20260101"))
KILLS, LIVES = 25, 2
REPORTING = {"measure", "tables", "figures", "claims", "losses"}
SURELY = (("dataset",), ("features",), ("train",), ("train",), tuple(sorted(REPORTING)))  # each is hit at least once
PATIENCE_S = 1500.0  # for one start of snakemake
IDLE_S = 0.5  # age at which a snakemake that finds nothing to do is killed


@dataclass(frozen=True)
class Kill:
    """Of what kind, and when: so many seconds after an event of the run that was left alone, or after a saved state."""

    kind: str
    after: Event
    delay_s: float
    moment_s: float
    saved: bool = False  # not before a training at work has saved a state to go on from

    def __str__(self) -> str:
        when = "as soon as a training has saved its state, " if self.saved else ""
        when += f"{self.delay_s:.2f} s after {self.after.what} {self.after.job}"
        return f"{self.moment_s:5.1f} s ({when}): {self.kind}"


@dataclass(frozen=True)
class Undisturbed:
    """The workspace of the run that was left alone, an untouched one beside it, and the events in their order."""

    workspace: Workspace
    fresh: Workspace
    events: list[tuple[float, Event]]
    commands: dict[str, str]  # job -> subcommand
    duration_s: float


def results(workspace: Workspace) -> dict[str, bytes]:
    """Everything below results/ and every manifest, but for files that tell times: records of runs, notes on arrays."""
    files = [*(workspace.root / "results").rglob("*"), *(workspace.root / "data").glob("*/manifest.parquet")]
    return {
        str(path.relative_to(workspace.root)): path.read_bytes()
        for path in files
        if path.is_file() and path.name not in ("record.json", "array.json")
    }


def leftovers(workspace: Workspace) -> list[str]:
    """What no finished run leaves: half-written files, states, locks, marks of unfinished jobs, drivers' entries."""
    found = [path for name in ("data", "results", ".avbalance") for path in (workspace.root / name).rglob("*.partial*")]
    for folder in (".avbalance/state", ".avbalance/drivers", ".snakemake/locks", ".snakemake/incomplete"):
        found += (workspace.root / folder).rglob("*")
    unfinished = (workspace.root / ".avbalance" / "features").glob("*/journal.jsonl")
    return sorted(str(path.relative_to(workspace.root)) for path in [*found, *unfinished])


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("kills")
    fresh = Workspace(folder / "fresh")
    fresh.root.mkdir()
    copy_working_tree(fresh.root)
    borrow_environment(fresh.root)
    shutil.copy(Path(__file__).with_name("stress.yaml"), fresh.root / "config" / "config.yaml")
    run = Run(fresh.copy(folder / "undisturbed"), folder / "undisturbed.log")
    commands: dict[str, str] = {}
    try:
        for _ in run.watch():
            commands.update({step.job: step.command for step in run.working})
    finally:
        run.end_all()
    assert run.process.returncode == 0, run.text()[-3000:]
    assert leftovers(run.workspace) == []
    events = sorted(((at, event) for event, at in run.seen.items()), key=lambda pair: pair[0])
    return Undisturbed(run.workspace, fresh, events, commands, run.age)


def draw_kills(alone: Undisturbed) -> list[Kill]:
    """As many kills of every kind, at moments spread evenly, five of them surely inside certain steps."""
    generator = random.Random(SEED)
    starts = {event.job: at for at, event in alone.events if event.what == "start"}
    ends = {event.job: at for at, event in alone.events if event.what == "end"}
    moments = []
    for commands in SURELY:
        job = generator.choice(sorted(job for job in starts if alone.commands.get(job) in commands))
        moments.append(generator.uniform(starts[job], starts[job] + 0.8 * (ends[job] - starts[job])))
    spread = KILLS - len(moments)
    moments += [(number + generator.random()) * alone.duration_s / spread for number in range(spread)]
    kinds = [kind for kind in KINDS for _ in range(KILLS // len(KINDS))]
    generator.shuffle(kinds)
    kills = []
    for kind, moment in zip(kinds, sorted(moments), strict=True):
        at, event = max((pair for pair in alone.events if pair[0] <= moment), key=lambda pair: pair[0])
        kills.append(Kill(kind, event, moment - at, moment))
    first = min(starts[job] for job in starts if alone.commands.get(job) == "train")
    for life in range(LIVES):
        strike_a_saved_training(kills, range(life, KILLS, LIVES), first)
    return kills


def strike_a_saved_training(kills: list[Kill], life: range, first_s: float) -> None:
    """Let the first kill of a life after its first training began wait for a state, and end all that is at work.

    Trainings of the stress configuration take few seconds, of which a process spends most on its start: moments drawn
    alone may all fall before the first state is saved.
    """
    chosen = next(number for number in life if kills[number].moment_s >= first_s)
    other = next((number for number in life if kills[number].kind == "kill -9 of both"), chosen)
    kinds = kills[chosen].kind, kills[other].kind
    kills[other] = replace(kills[other], kind=kinds[0])
    kills[chosen] = replace(kills[chosen], kind="kill -9 of both", saved=True)


@dataclass
class Life:
    """A workspace in which snakemake is started, killed and started again until it is through."""

    workspace: Workspace
    events: list[tuple[float, Event]]  # of the run that was left alone
    runs: list[Run]
    story: list[str]  # what was killed, when, and what was at work
    hit: list[set[str]]  # per kill: the subcommands that were at work
    resumed: bool = False  # whether a training was seen that went on from a saved state

    def start(self) -> Run:
        log = self.workspace.root.with_name(f"{self.workspace.root.name}-{len(self.runs)}.log")
        self.runs.append(Run(self.workspace, log))
        return self.runs[-1]

    def told(self, run: Run) -> str:
        return "\n".join(["", *self.story, "", run.text()[-5000:]])

    def ended(self, run: Run) -> int:
        """Exit status of a run that nobody disturbs any more; raises when it failed for another reason than a kill."""
        status = run.finish()
        assert status == 0 or run.disturbed, f"failed by itself: {self.told(run)}"
        for word in ("LockException", "IncompleteFilesException", "Traceback", "--unlock"):
            assert word not in run.text(), f"{word}: {self.told(run)}"
        return status

    def kill(self, kill: Kill) -> None:
        """Start snakemake unless it is at work, wait for the moment, strike."""
        run = self.runs[-1] if self.runs else self.start()
        while not (run.look() and self.due(kill, run)):
            assert run.age < PATIENCE_S, f"the moment never came: {kill} {self.told(run)}"
            if run.process.returncode is None:
                time.sleep(POLL_S)
            else:
                self.ended(run)
                run = self.start()
        hopeless = KINDS[kill.kind][1] == "step" and not run.working
        working = run.strike("kill -9 of snakemake" if hopeless else kill.kind)
        self.hit.append({step.command for step in working})
        self.note_resumed()
        at_work = ", ".join(step.job for step in working) or "no step"
        self.story.append(f"{self.workspace.root.name}, start {len(self.runs)}, {run.age:4.1f} s: {kill}; {at_work}")

    def note_resumed(self) -> None:
        logs = (self.workspace.root / "logs" / "stress" / "train").rglob("*.log")
        if any("resumed at epoch" in log.read_text(errors="replace") for log in logs):
            self.resumed = True

    def due(self, kill: Kill, run: Run) -> bool:
        """Whether the moment has come: so long after its event or, where that is past, after one that came later.

        Jobs side by side do not always end in one order: when all is done before the moment comes, an idle snakemake
        is killed.
        """
        idle = any(earlier.process.returncode == 0 for earlier in self.runs)
        if kill.saved:
            training = any(step.command == "train" for step in run.working)
            states = (self.workspace.root / ".avbalance" / "state").glob("*-main.pt")
            return any(states) if training else idle and run.age > IDLE_S
        if KINDS[kill.kind][1] == "step" and not run.working:
            return idle and run.age > IDLE_S
        ranks = {event: rank for rank, (_, event) in enumerate(self.events)}
        later = [at for event, at in run.seen.items() if ranks.get(event, 0) > ranks[kill.after]]
        since = run.seen.get(kill.after, min(later, default=None))
        return idle and run.age > IDLE_S if since is None else run.age >= since + kill.delay_s

    def live_on(self) -> None:
        """Let it come to its end: the next snakemake that nobody disturbs finishes everything."""
        if self.ended(self.runs[-1]) != 0:
            assert self.ended(self.start()) == 0, self.told(self.runs[-1])
        self.note_resumed()
        for run in self.runs:
            run.wait_for_orphans()


def killed_again_and_again(undisturbed: Undisturbed, kills: list[Kill], folder: Path) -> Life:
    """A run that suffers some kills and comes to its end, with the bytes of the run that was left alone."""
    life = Life(undisturbed.fresh.copy(folder), undisturbed.events, [], [], [])
    try:
        for kill in kills:
            life.kill(kill)
        life.live_on()
        print("\n".join(life.story))
        expected, made = results(undisturbed.workspace), results(life.workspace)
        assert made.keys() == expected.keys(), life.told(life.runs[-1])
        assert [name for name in made if made[name] != expected[name]] == [], life.told(life.runs[-1])
        assert leftovers(life.workspace) == [], life.told(life.runs[-1])
        assert life.workspace.plan().idle, life.told(life.runs[-1])
    finally:
        for run in life.runs:
            run.end_all()
    return life


def test_runs_that_are_killed_again_and_again_end_in_the_same_bytes(undisturbed: Undisturbed, tmp_path: Path) -> None:
    kills = draw_kills(undisturbed)
    lives = [
        killed_again_and_again(undisturbed, kills[number::LIVES], tmp_path / f"life{number}") for number in range(LIVES)
    ]
    working = [steps for life in lives for steps in life.hit]
    assert len(working) == KILLS
    hit = set().union(*working)
    assert {"dataset", "features", "train"} <= hit
    assert hit & REPORTING
    assert sum(map(bool, working)) > KILLS / 2, "most kills hit a step at work"
    assert any(life.resumed for life in lives), "some training went on from a saved state"
