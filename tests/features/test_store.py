import errno
import os

import numpy as np
import pandas as pd
import pytest

from avbalance.errors import UserError
from avbalance.features import store as store_module
from avbalance.features.recipes import get_audio_recipe, get_visual_recipe
from avbalance.features.store import StoreWriter, array_is_there, open_store, row_bytes
from flowkeeper.files import read_json, write_json

RECIPE = get_audio_recipe("logmel2x4-1s")
COLUMNS = {"status": "ok", "reason": "", "n_frames": 4, "width": 0, "height": 0, "duration": 1.0}


def block(value):
    return np.full((2, 4), value, np.float16)


def index(rows):
    lines = [{"id": f"c{row}", "row": row, **COLUMNS} for row in rows]
    return pd.DataFrame(lines, columns=["id", "row", *COLUMNS])


def write_store(tmp_path, values):
    writer = StoreWriter(tmp_path / "partial", RECIPE)
    for value in values:
        writer.append(block(value))
    table = index(range(len(values)))
    writer.publish(tmp_path / "store", table, writer.seal(table, {"dataset": "toy"}))
    return tmp_path / "store"


def test_what_is_written_is_what_is_read(tmp_path):
    store = open_store(write_store(tmp_path, [1, 2, 3]))
    assert store.array[:, 0, 0].tolist() == [1, 2, 3]
    assert isinstance(store.array, np.memmap)
    assert store.index["id"].tolist() == ["c0", "c1", "c2"]
    assert store.card["dataset"] == "toy"
    assert store.card["bytes"] == (store.path / "features.npy").stat().st_size
    with pytest.raises(ValueError, match="read-only"):
        store.array[0] = 0


def test_the_header_has_the_same_length_for_any_number_of_rows(tmp_path):
    for position, rows in enumerate((0, 1, 5000)):
        folder = write_store(tmp_path / str(position), [0] * rows)
        # 128 bytes of header: the smallest multiple of 64 that holds numpy's text and its room for growth
        assert (folder / "features.npy").stat().st_size == 128 + rows * row_bytes(RECIPE)


def test_all_of_llp_takes_less_than_a_gigabyte():
    recipes = get_audio_recipe("seconds10-vggish"), get_visual_recipe("seconds10-res152-r2plus1d")
    assert 11_849 * sum(map(row_bytes, recipes)) == 637_002_240  # 11,849 * 10 * 2,688 * 2


def test_rewinding_drops_what_came_after_the_last_sync(tmp_path):
    first = StoreWriter(tmp_path / "partial", RECIPE)
    for value in (1, 2):
        first.append(block(value))
    first.sync()
    first.append(block(9))  # killed here
    second = StoreWriter(tmp_path / "partial", RECIPE)
    assert not second.rewind(4)
    assert second.rewind(2)
    assert second.append(block(3)) == 2
    second.publish(tmp_path / "store", index([0, 1, 2]), second.seal(index([0, 1, 2]), {}))
    assert open_store(tmp_path / "store").array[:, 1, 3].tolist() == [1, 2, 3]


@pytest.mark.parametrize("array", [np.zeros((2, 4)), np.zeros((4, 2), np.float16)])
def test_arrays_of_another_kind_are_refused(tmp_path, array):
    with pytest.raises(ValueError, match="logmel2x4-1s"):
        StoreWriter(tmp_path / "partial", RECIPE).append(array)


def test_incomplete_and_altered_stores_are_refused(tmp_path):
    with pytest.raises(UserError, match="no complete feature store"):
        open_store(tmp_path / "absent")
    folder = write_store(tmp_path, [1, 2])
    card = read_json(folder / "card.json")
    write_json(folder / "card.json", card | {"shape": [3, 2, 4]})
    with pytest.raises(UserError, match="its card says"):
        open_store(folder)
    write_json(folder / "card.json", card)
    data = (folder / "features.npy").read_bytes()
    (folder / "features.npy").write_bytes(data[:-5])
    with pytest.raises(UserError, match="cannot be read"):
        open_store(folder)
    (folder / "features.npy").unlink()
    with pytest.raises(UserError, match=r"features\.npy: absent, though .* the next training makes it again"):
        open_store(folder)
    (folder / "index.parquet").unlink()
    with pytest.raises(UserError, match=r"index\.parquet absent"):
        open_store(folder)


def test_an_array_is_there_when_array_json_speaks_of_this_file_and_this_card(tmp_path):
    folder = write_store(tmp_path, [1, 2])
    assert array_is_there(folder)
    card, facts = read_json(folder / "card.json"), (folder / "array.json").read_text()
    write_json(folder / "card.json", card | {"sha256": "of another publication"})
    assert not array_is_there(folder)
    with pytest.raises(UserError, match=r"features\.npy: belongs to an earlier card\.json"):
        open_store(folder)
    write_json(folder / "card.json", card)
    (folder / "array.json").write_text("{")
    assert not array_is_there(folder)
    assert open_store(folder).card == card
    (folder / "array.json").write_text(facts)
    assert array_is_there(folder)
    (folder / "features.npy").write_bytes((folder / "features.npy").read_bytes())  # the same bytes, but who knows
    assert not array_is_there(folder)
    for name in ("features.npy", "card.json"):
        (folder / name).unlink()
        assert not array_is_there(folder)


def test_a_finished_array_moves_to_a_folder_of_the_same_disk_that_is_mounted_a_second_time(tmp_path, monkeypatch):
    replace = os.replace

    def refuse(source, target):
        if source == tmp_path / "partial" / "features.npy":
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        replace(source, target)

    monkeypatch.setattr(store_module.os, "replace", refuse)
    writer = StoreWriter(tmp_path / "partial", RECIPE)
    writer.append(block(1))
    card = writer.seal(index([0]), {"dataset": "toy"})
    writer.publish(tmp_path / "store", index([0]), card)
    assert open_store(tmp_path / "store").array[:, 0, 0].tolist() == [1]
    assert not (tmp_path / "partial" / "features.npy").exists()
