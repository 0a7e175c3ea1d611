"""The paper tier: what is planned for each paper, and what is said while data are missing."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from published_lists import (
    audioset_lists,
    ave_features,
    ave_lists,
    ave_lists_of_30,
    balanced_annotation,
    link_real_lists,
    llp_features,
    vggsound_list,
    video_id,
)

from avbalance.plan.plan import Plan, load_plan

REPOSITORY = Path(__file__).parents[2]
BALANCED, PARSING = "balanced-audiovisual", "avvp-gradient-modulation"
RELEVANCE, GAP = "modality-relevance", "gmm-adaptive-loss"
MOST_JOBS = 1_500
OLD = "jomold_version/AVVP_eval_audio.csv"
OWN_DATASETS = {PARSING: {"llp": {"options": {"audio_old": OLD}}}}


@dataclass(frozen=True)
class Planned:
    """What is planned for one paper, counted by hand.

    trained: data set -> pairs of run and seed. missing: data set -> the list that it lacks first where there is none.
    lists: makes all lists. said: data set -> what it lacks then.
    """

    trained: dict[str, int]
    jobs: dict[str, int]
    missing: dict[str, str]
    lists: Callable[[Path], None]
    said: dict[str, str] = field(default_factory=dict)


def lists_of_balanced(downloads: Path) -> None:
    link_real_lists(downloads, "kinetics-sounds")
    vggsound_list(downloads)
    balanced_annotation(downloads)
    (downloads / "vggsound" / "media").mkdir()
    (downloads / "vggsound" / "media" / f"{video_id(7)}_70.mp4").write_bytes(b"x")


def lists_of_parsing(downloads: Path) -> None:
    link_real_lists(downloads, "llp", "cremad")
    ave_lists(downloads)


def lists_of_relevance(downloads: Path) -> None:
    link_real_lists(downloads, "kinetics-sounds")
    audioset_lists(downloads)


def lists_of_gap(downloads: Path) -> None:
    link_real_lists(downloads, "kinetics-sounds", "cremad")
    ave_lists_of_30(downloads)


KS_LIST = "downloads/kinetics-sounds/lists/my_train.txt"
TIERS = {
    # Ten runs and four half models with three seeds, three references and, where alpha is searched, four candidates
    # with one. Without the authors' annotation the balanced set is built from public lists, and lacks nothing itself.
    BALANCED: Planned(
        {"kinetics-sounds": 14 * 3 + 4 + 3, "vggsound": 14 * 3 + 3, "balanced": 14 * 3 + 4 + 3},
        {"dataset": 5, "features": 3, "combine": 3, "confidence": 3, "subsets": 3, "table": 8, "figure": 4},
        {
            "kinetics-sounds": KS_LIST,
            "vggsound": "downloads/vggsound/vggsound.csv",
            "kinetics-30": "downloads/kinetics-400/train.csv",
            "vggsound-30": "downloads/vggsound/vggsound.csv",
        },
        lists_of_balanced,
        {"kinetics-sounds": "no such folder", "balanced": "no such folder"},
    ),
    # Table I has 15 rows, of which MA's two take three runs each and JoMoLD's two share a noise estimator and its
    # ratios; one further DGM row in table IV, two measures, eight strengths, two rows with HAN and one on JoMoLD's
    # schedule, seven controls: 42 runs of five seeds, and five candidates of one. CREMA-D three, AVE four; references.
    PARSING: Planned(
        {"llp": (15 + 4 + 2 + 1 + 2 + 8 + 3 + 7) * 5 + 5, "cremad": 3 * 5 + 3, "ave": 4 * 5 + 1},
        {"dataset": 3, "features": 3, "table": 11, "figure": 2},
        {
            "llp": "downloads/llp/lists/AVVP_train.csv",
            "cremad": "downloads/cremad/lists/train.csv",
            "ave": "downloads/ave/lists/Annotations.txt",
        },
        lists_of_parsing,
        {
            "llp": "downloads/llp/feats: no such folder; unpack there the archive of features",
            "cremad": "downloads/cremad/media/AudioWAV: no such folder; take AudioWAV and",
            "ave": "downloads/ave/feats: no such folder; get the features that the page of",
        },
    ),
    # Two teachers and a student for each labelling; late fusion and its two halves; references, for either labelling.
    RELEVANCE: Planned(
        {"audioset": 2 * 3 * 5 + 6, "kinetics-sounds-26": 3 * 5 + 3},
        {"dataset": 2, "features": 2, "table": 7, "figure": 3},
        {"audioset": "downloads/audioset/lists/balanced_train_segments.csv", "kinetics-sounds-26": KS_LIST},
        lists_of_relevance,
        {
            "audioset": "downloads/audioset/media: no such folder; cut the clips out of the YouTube",
            "kinetics-sounds-26": "no such folder; ",
        },
    ),
    # Two unimodal runs, five baselines and heads, the method: 9 on all three sets. On two sets version 1, three
    # ablations and four fine-tunings from either network: 12 more. On CREMA-D alone four lengths of the warm-up, three
    # separations and 15 cells of a grid of 16, the last of which is the method itself. References.
    GAP: Planned(
        {"cremad": (9 + 12 + 4 + 3 + 15) * 5 + 3, "ave-clips": (9 + 12) * 5 + 3, "kinetics-sounds": 9 * 5 + 3},
        {"dataset": 3, "features": 3, "combine": 3, "table": 9, "figure": 7},
        {
            "cremad": "downloads/cremad/lists/train.csv",
            "ave-clips": "downloads/ave/lists/Annotations.txt",
            "kinetics-sounds": KS_LIST,
        },
        lists_of_gap,
        {
            "cremad": "no such folder; ",
            "ave-clips": "downloads/ave/media: no such folder; get the clips that the page of",
            "kinetics-sounds": "no such folder; ",
        },
    ),
}
ONCE = dict.fromkeys(("measure", "claims", "losses", "overview", "page", "crate", "all"), 1)


def words(slug: str) -> tuple[str, ...]:
    """What to add to snakemake's command for the tier of one paper."""
    return (
        "--config",
        "tier=paper",
        f"papers={{{slug}: {{}}}}",
        f"datasets={json.dumps(OWN_DATASETS.get(slug, {}))}",
    )


def plan_of(slug: str, datasets: Mapping[str, Any] | None = None) -> Plan:
    return load_plan(REPOSITORY, {"tier": "paper", "papers": {slug: {}}, "datasets": datasets or {}})


def by_kind(printed: str) -> tuple[dict[str, int], dict[str, int]]:
    """Jobs that a dry run lists: per rule, and per first word of the rule's name."""
    counts = {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", printed, flags=re.MULTILINE)}
    kinds: Counter[str] = Counter()
    for name, count in counts.items():
        kinds[name.split("_")[0]] += count
    return counts, dict(kinds)


def sentences(printed: str, kind: str) -> dict[str, str]:
    """Data set -> what was said of it, of the lines that begin with `kind`."""
    said = (line.split(": ", 2) for line in printed.splitlines() if line.startswith(f"{kind}: "))
    return {name: sentence for _, name, sentence in said}


def nothing_is_made(workplace: Path) -> bool:
    return not any((workplace / name).exists() for name in ("data", "results", "logs"))


def check_plan(workplace: Path, done: Any, slug: str, **other: int) -> dict[str, str]:
    """The dry run planned the whole tier and made nothing; returns what the preflight said."""
    assert done.returncode == 0, done.stderr
    counts, kinds = by_kind(done.stdout)
    tier = TIERS[slug]
    expected = {**tier.jobs, "train": sum(tier.trained.values()), **ONCE, **other}
    assert kinds.pop("total") == sum(expected.values()) < MOST_JOBS
    assert kinds == expected
    for dataset, number in tier.trained.items():
        prefix = f"train_{slug}_{dataset}_".replace("-", "_")
        assert sum(count for name, count in counts.items() if name.startswith(prefix)) == number
    assert nothing_is_made(workplace)
    return sentences(done.stderr, "preflight")


@pytest.mark.parametrize("slug", TIERS)
def test_without_any_list_the_tier_is_planned_and_a_real_run_ends_before_its_first_job(
    workplace: Path, snakemake: Any, slug: str
) -> None:
    done = snakemake("-n", *words(slug))
    said = check_plan(workplace, done, slug)
    assert {name: sentence.split(": ")[0] for name, sentence in said.items()} == TIERS[slug].missing
    assert all("no such file; take" in sentence for sentence in said.values())
    if slug == BALANCED:
        building, chosen = (line for line in done.stderr.splitlines() if line.startswith("note: "))
        assert building.startswith("note: balanced-built: building it decodes ")
        assert chosen.endswith("balanced-built is taken, since balanced lacks downloads/balanced/annotation.json.")
    for _ in range(2 if slug == BALANCED else 1):  # nothing stays locked: the next call says the same
        done = snakemake(*words(slug))
        assert done.returncode != 0 and "Traceback" not in done.stderr
        assert sentences(done.stderr, "error") == said and nothing_is_made(workplace)


@pytest.mark.parametrize("slug", TIERS)
def test_with_all_lists_the_tier_is_planned_and_says_which_media_are_missing(
    workplace: Path, snakemake: Any, slug: str
) -> None:
    TIERS[slug].lists(workplace / "downloads")
    done = snakemake("-n", *words(slug))
    said = check_plan(workplace, done, slug, **({"dataset": 3} if slug == BALANCED else {}))
    assert list(said) == list(TIERS[slug].said)
    assert all(wanted in said[name] for name, wanted in TIERS[slug].said.items())
    if slug == BALANCED:
        counts = {"kinetics-sounds": "0 of 18,716", "vggsound": "1 of 4,000", "balanced": "0 of 900"}
        for name, count in counts.items():
            (line,) = (line for line in done.stderr.splitlines() if line.startswith(f"{name} "))
            assert f" yes  {count:>20} " in line
        note = sentences(done.stderr, "note")["vggsound"]
        assert note.startswith("downloads/vggsound/media: 3,999 of 4,000 clips are missing, the first ")


def test_with_all_data_at_hand_the_preflight_has_nothing_to_say(workplace: Path, snakemake: Any) -> None:
    downloads = workplace / "downloads"
    lists_of_parsing(downloads)
    ave_features(downloads)
    llp_features(downloads, "-_aaaaaaaaa")
    (downloads / "cremad" / "media" / "AudioWAV").mkdir(parents=True)
    assert check_plan(workplace, snakemake("-n", *words(PARSING)), PARSING) == {}
    (downloads / "ave" / "feats" / "visual_feature.h5").unlink()  # a whole modality is absent
    said = plan_of(PARSING, OWN_DATASETS[PARSING]).preflight()
    assert [sentence.split(";")[0] for sentence in said] == ["ave: downloads/ave/feats/visual_feature.h5: no such file"]


def test_the_whole_paper_tier_of_all_papers_is_planned(workplace: Path, snakemake: Any) -> None:
    done = snakemake("-n", "--config", "tier=paper")
    assert done.returncode == 0, done.stderr
    _, kinds = by_kind(done.stdout)
    plan = load_plan(REPOSITORY, {"tier": "paper"})
    assert list(plan.papers) == list(TIERS)
    assert kinds["train"] == sum(sum(tier.trained.values()) for tier in TIERS.values()) == 825
    assert kinds["total"] == 926 < MOST_JOBS
    assert kinds["dataset"] == len(plan.datasets) == 11  # papers share data sets, and stores of the same recipes
    assert kinds["features"] == 9 + 2  # two papers read Kinetics-Sounds, and two CREMA-D, by recipes of their own
