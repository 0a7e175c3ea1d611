import shutil

import numpy as np
import pytest
from clip_files import tone, write_wav

from avbalance.features.clip import ClipJob
from avbalance.features.pool import DecodePool
from avbalance.features.recipes import get_audio_recipe

AUDIO = get_audio_recipe("logmel8x16-1s")
# File -> the status that it ends in, and a part of the reason
CLIPS = {
    "hang.wav": ("decoder_timeout", "longer than 1 s"),
    "a.wav": ("ok", ""),
    "exit.wav": ("decoder_crash", "exit status 3"),
    "kill.wav": ("decoder_crash", "SIGKILL"),
    "b.wav": ("ok", ""),
    "segv.wav": ("decoder_crash", "SIGSEGV"),
    "once.wav": ("ok", ""),
    "raise.wav": ("decoder_crash", "no such luck"),
    "c.wav": ("ok", ""),
}


def test_decoders_that_hang_or_die_cost_their_clip_only(tmp_path):
    good = write_wav(tmp_path / "good.wav", tone(0.5))
    jobs = [ClipJob(shutil.copy(good, tmp_path / name), None) for name in CLIPS]
    with DecodePool(AUDIO, None, workers=2, timeout_s=1.0, function="decoder_faults:faulty") as pool:
        pairs = list(pool.run(jobs))
    assert all(visual is None for _, visual in pairs)
    found = {job.audio.name: audio for job, (audio, _) in zip(jobs, pairs, strict=True)}
    assert {name: feature.status for name, feature in found.items()} == {name: told[0] for name, told in CLIPS.items()}
    assert all(reason in found[name].reason for name, (_, reason) in CLIPS.items())
    # The good clips are all the same sound: nothing was mixed up on the way.
    arrays = [feature.array for feature in found.values() if feature.array is not None]
    assert len(arrays) == 4 and all(np.array_equal(arrays[0], other) for other in arrays)


def test_a_decoder_that_cannot_start_is_a_defect_not_a_loss(tmp_path):
    job = ClipJob(write_wav(tmp_path / "a.wav", tone(0.5)), None)
    with (
        pytest.raises(RuntimeError, match="could not start"),
        DecodePool(AUDIO, None, function="decoder_faults:absent") as pool,
    ):
        list(pool.run([job]))
