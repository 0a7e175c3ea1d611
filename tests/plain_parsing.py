"""The ten parsing scores in plain Python: one video, class and event after the other; to compare with and to time."""

from __future__ import annotations

from collections.abc import Sequence

Row = Sequence[bool]
Counted = tuple[int, int, int]


def plain_events(row: Row) -> list[set[int]]:
    """The cells of each maximal run."""
    events: list[set[int]] = []
    for place, active in enumerate(row):
        if active:
            if events and place - 1 in events[-1]:
                events[-1].add(place)
            else:
                events.append({place})
    return events


def plain_counts(predicted: Row, true: Row, level: str) -> Counted:
    """TP, FP, FN of one class in one modality."""
    if level == "segment":
        pairs = list(zip(predicted, true, strict=True))
        return pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True))
    guesses, facts = plain_events(predicted), plain_events(true)
    hits = sum(any(_match(guess, fact) for fact in facts) for guess in guesses)
    misses = sum(not any(_match(guess, fact) for guess in guesses) for fact in facts)
    return hits, len(guesses) - hits, misses


def _match(one: set[int], another: set[int]) -> bool:
    return 2 * len(one & another) >= len(one | another)


def plain_f(counts: list[Counted]) -> float:
    """Mean F over the classes with any count; one if there is none."""
    kept = [2 * tp / (2 * tp + fp + fn) for tp, fp, fn in counts if tp + fp > 0 or tp + fn > 0]
    return sum(kept) / len(kept) if kept else 1.0


def plain_scores(predicted: Sequence[Sequence[Row]], true: Sequence[Sequence[Row]]) -> list[float]:
    """The ten scores of one video from segments [2][C][T]."""
    scores = []
    for level in ("segment", "event"):
        counts: dict[str, list[Counted]] = {"A": [], "V": [], "AV": [], "Event": []}
        for guess_a, guess_v, true_a, true_v in zip(*predicted, *true, strict=True):
            both = [[a and v for a, v in zip(*pair, strict=True)] for pair in ((guess_a, guess_v), (true_a, true_v))]
            audio, visual = plain_counts(guess_a, true_a, level), plain_counts(guess_v, true_v, level)
            counts["A"].append(audio)
            counts["V"].append(visual)
            counts["AV"].append(plain_counts(*both, level))
            counts["Event"].append((audio[0] + visual[0], audio[1] + visual[1], audio[2] + visual[2]))
        f = {name: plain_f(each) for name, each in counts.items()}
        scores += [f["A"], f["V"], f["AV"], (f["A"] + f["V"] + f["AV"]) / 3, f["Event"]]
    return scores


def plain_evaluation(
    frame_prob: Sequence[Sequence[Sequence[Sequence[float]]]],
    gates: Sequence[Sequence[Sequence[bool]]],
    true: Sequence[Sequence[Sequence[Row]]],
) -> list[list[float]]:
    """The ten scores of every video: probabilities [N][T][2][C], open gates and true segments [N][2][C]([T])."""
    found = []
    for frames, gate, truth in zip(frame_prob, gates, true, strict=True):
        predicted = [
            [
                [is_open and frame[modality][number] >= 0.5 for frame in frames]
                for number, is_open in enumerate(gate[modality])
            ]
            for modality in range(2)
        ]
        found.append(plain_scores(predicted, truth))
    return found
