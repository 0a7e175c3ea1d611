"""What people call columns and parts."""

from __future__ import annotations

from avbalance.diagnosis.tables import guess, split_of


def test_names_of_columns_and_parts_are_guessed() -> None:
    assert guess(["Clip ID", "Emotion", "Speaker-ID", "x"], "id") == "Clip ID"
    assert guess(["Clip ID", "Emotion", "Speaker-ID"], "group") == "Speaker-ID"
    assert guess(["a", "b"], "label") is None
    assert [split_of(word) for word in ("Training", "dev", "EVAL", "half")] == ["train", "val", "test", None]
