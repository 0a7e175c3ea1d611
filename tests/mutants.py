"""Break one line of code per item of the fidelity checklist and see that a test of that very item fails.

Run by `make mutants`. Every mutation is applied to a fresh copy of the repository in a temporary folder, and only the
tests named `test_item_<number>_...` run on it. Exit status 1 when a mutant survives.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
COPIED = ("src", "tests", "workflow", "config", "pyproject.toml")
PACKAGE = "src/avbalance"
TESTS = {
    name: f"tests/fidelity/test_balanced_audiovisual_{name}.py"
    for name in ("analysis", "building", "methods", "training")
}
PARSING = "tests/fidelity/test_avvp_gradient_modulation.py"
GAP = "tests/fidelity/test_gmm_adaptive_loss.py"
GAP_PAPER = "workflow/papers/gmm-adaptive-loss"
RELEVANCE = "tests/fidelity/test_modality_relevance.py"
GUARD = """import avbalance
from pathlib import Path

assert Path(avbalance.__file__).is_relative_to(Path(__file__).parents[1]), avbalance.__file__
"""


@dataclass(frozen=True)
class Mutant:
    """Item of the checklist, file, text that must occur exactly once in it, what replaces it, and the tests' file."""

    item: int
    path: str
    old: str
    new: str
    tests: str


def _code(item: int, path: str, old: str, new: str, tests: str) -> Mutant:
    return Mutant(item, f"{PACKAGE}/{path}", old, new, TESTS[tests])


def _parsing(item: int, path: str, old: str, new: str) -> Mutant:
    return Mutant(item, path if path.endswith(".yaml") else f"{PACKAGE}/{path}", old, new, PARSING)


def _relevance(item: int, path: str, old: str, new: str) -> Mutant:
    folder = "workflow/papers/modality-relevance" if path.endswith(".yaml") else PACKAGE
    return Mutant(item, f"{folder}/{path}", old, new, RELEVANCE)


def _gap(item: int, path: str, old: str, new: str) -> Mutant:
    return Mutant(item, f"{GAP_PAPER if path.endswith('.yaml') else PACKAGE}/{path}", old, new, GAP)


PAPER = "workflow/papers/balanced-audiovisual/paper.yaml"
SHEET = "workflow/papers/avvp-gradient-modulation/paper.yaml"
TABLES = "workflow/papers/avvp-gradient-modulation/tables.yaml"
MUTANTS = (
    _code(1, "analysis/confidence.py", "mean(axis=0, dtype=np.float64)", "max(axis=0)", "analysis"),
    _code(1, "analysis/confidence.py", "mean(axis=0, dtype=np.float64)", "mean(axis=0, dtype=np.float16)", "analysis"),
    _code(1, "training/tasks/classification.py",
          "log_softmax(1)[rows, batch.label]", "log_softmax(1).amax(1)", "training"),
    _code(2, "analysis/confidence.py",
          '"id": run.ids[split], "label"', '"id": np.sort(run.ids[split]), "label"', "analysis"),
    _code(3, "analysis/subsets.py", "lead > threshold", "lead >= threshold", "analysis"),
    _code(3, "analysis/subsets.py", "discrepancy == 0", "discrepancy >= 0", "analysis"),
    _code(4, "analysis/subsets.py", 'visual, "test", epochs)', 'visual, "val", epochs)', "analysis"),
    _code(5, "analysis/subsets.py",
          "side_mask(discrepancy, side, value)", "side_mask(discrepancy, side, value / 2)", "analysis"),
    _code(6, "analysis/confidence.py", "BINS = 100", "BINS = 50", "analysis"),
    _code(6, "analysis/flatness.py", "rows * grid + columns", "columns * grid + rows", "analysis"),
    _code(6, "reporting/figure_parts.py", 'origin="lower"', 'origin="upper"', "analysis"),
    _code(6, "reporting/figure_parts.py", "PowerNorm(0.5", "PowerNorm(1.0", "analysis"),
    _code(7, "models/resnet.py", '{"audio": 1, "visual": 3}', '{"audio": 3, "visual": 3}', "methods"),
    _code(7, "models/base.py", "math.sqrt(2.0 / fan_out), generator=generator",
          "math.sqrt(2.0 / fan_out), generator=torch.Generator().manual_seed(0)", "methods"),
    _code(8, "models/resnet.py", "maps.shape[1]).mean(1)", "maps.shape[1]).amax(1)", "methods"),
    _code(9, "models/fusion.py", "torch.cat((first, second), dim=1)", "torch.cat((second, first), dim=1)", "methods"),
    _code(9, "models/fusion.py", "self.linear.bias / 2", "self.linear.bias", "methods"),
    _code(10, "models/base.py", "fan_out = part.out_channels", "fan_out = part.in_channels", "methods"),
    _code(10, "models/base.py", "2.0 / (part.in_features + part.out_features)", "1.0 / part.in_features", "methods"),
    _code(10, "models/base.py",
          "part.bias.zero_()\n                elif", "part.bias.fill_(0.1)\n                elif", "methods"),
    _code(11, "training/loop.py", "momentum=rule.momentum", "momentum=0.0", "training"),
    _code(11, "training/loop.py",
          '"weight_decay": rule.weight_decay', '"weight_decay": 0.0', "training"),
    _code(11, "training/protocol.py", "(epoch // self.decay_every)", "((epoch + 1) // self.decay_every)", "training"),
    Mutant(11, PAPER, "learning_rate: 0.001,", "learning_rate: 0.01,", TESTS["training"]),
    _code(12, "methods/ogm_ge.py", "parameter.grad.ndim == 4", "parameter.grad.ndim >= 1", "methods"),
    _code(13, "methods/ogm_ge.py",
          "1.0, 1 - math.tanh(alpha * rho_visual)", "1.0, 1 - math.tanh(alpha * (rho_visual - 1))", "methods"),
    _code(13, "methods/ogm_ge.py", "if rho_visual > 1:", "if rho_visual < 1:", "methods"),
    _code(13, "methods/ogm_ge.py", "label[:, None]).sum()", "label[:, None]).mean()", "methods"),
    _code(14, "methods/parts/modulation.py", "(gradient.std()", "(mu * gradient.std()", "methods"),
    _code(14, "methods/ogm_ge.py",
          'step.epoch <= self.options.end_epoch', 'step.epoch < self.options.end_epoch', "methods"),
    _code(15, "methods/gradient_blending.py", "max(excess**2, 1e-6)", "max(abs(excess), 1e-6)", "methods"),
    _code(15, "methods/gradient_blending.py",
          "trainer.evaluate(split).loss", 'trainer.evaluate("test").loss', "methods"),
    _code(15, "methods/gradient_blending.py", 'if batch_norm == "re-estimated" else', "if True else", "methods"),
    _code(16, "methods/gradient_blending.py",
          "first_epoch=epoch, schedule=False", "first_epoch=epoch, schedule=True", "methods"),
    _code(16, "methods/gradient_blending.py",
          'copy = trainer.clone(SingleHead({"head": head}))', "copy = trainer", "methods"),
    _code(17, "models/fusion_net.py",
          "if self.unimodal_heads is not None:\n            scores", "if False:\n            scores", "methods"),
    _code(17, "methods/gradient_blending.py", 'output.scores.get("visual"), output.logits)',
          'output.logits, output.scores.get("visual"))', "methods"),
    _code(18, "models/mmtm.py", "return 2 * (first_channels", "return (first_channels", "methods"),
    _code(18, "models/mmtm.py", "torch.sigmoid(self.excite", "2 * torch.sigmoid(self.excite", "methods"),
    _code(19, "models/mmtm_net.py", "(block.squeeze, block.excite[modality])", "(block.excite[modality],)", "methods"),
    _code(19, "models/mmtm_net.py",
          "[*self.group(modality), *head.parameters()]", "[*self.group(modality)]", "methods"),
    _code(20, "methods/greedy.py", "if not self.curation.active:", "if True:", "methods"),
    _code(20, "methods/greedy.py", "math.log10(bypass / main)", "math.log(bypass / main)", "methods"),
    _code(20, "methods/greedy.py",
          "abs(difference) <= options.threshold", "abs(difference) < options.threshold", "methods"),
    _code(20, "methods/greedy.py", "active=counter < options.window", "active=counter <= options.window", "methods"),
    _code(20, "methods/greedy.py", "if epoch < options.start_epoch", "if epoch <= options.start_epoch", "methods"),
    _code(21, "models/mmtm.py",
          'self.get_buffer(f"gate_mean_{cared}").clone()', "gates[cared].mean(0).detach()", "methods"),
    _code(21, "methods/branch_losses.py",
          "return losses[0] + sum(losses[1:])", "return (losses[0] + sum(losses[1:])) / 2", "methods"),
    _code(21, "models/mmtm_net.py",
          '(scores["audio"] + scores["visual"]) / 2', 'scores["audio"] + scores["visual"]', "methods"),
    _code(22, "training/transforms.py", "position = low + (high - low) // 2", "position = low", "training"),
    _code(22, "training/transforms.py", "room // 2 : room // 2 + window", "0:window", "training"),
    _code(22, "training/data.py", "generator = None if seed is None else", "generator =", "training"),
    _code(23, "reporting/facts.py", 'manifest["status"] != OK]', 'manifest["status"] == "corrupt"]', "analysis"),
    _code(23, "training/data.py",
          "names, counts = np.unique(status[~usable]", "names, counts = np.unique(status[usable]", "training"),
    _code(23, "training/data.py",
          "digest_json(sorted(self.ids[indices].tolist()))", "digest_json(sorted(self.ids.tolist()))", "training"),
    _code(24, "training/loop.py",
          "evaluations = {part: self.evaluate(part) for", 'evaluations = {part: self.evaluate("test") for', "training"),
    _code(24, "training/protocol.py",
          'value > best if self.ties == "earlier"', 'value >= best if self.ties == "earlier"', "training"),
    Mutant(24, PAPER, "select: {value: validation", "select: {value: test", TESTS["training"]),
    _code(25, "evaluation/measure.py", "    assert_identity(frame)\n    return frame", "    return frame", "analysis"),
    _code(26, "balancing/recalibration.py",
          "self.cell = rows * GRID + columns", "self.cell = GRID + rows - columns", "building"),
    _code(26, "balancing/recalibration.py", 'flat = after["j2"] <=', 'flat = after["j1"] <=', "building"),
    _code(27, "balancing/build.py",
          'topics, frame["group"].tolist(), options', 'topics, frame["id"].tolist(), options', "building"),
    _code(27, "balancing/recalibration.py",
          "room = sizes - np.minimum(sizes, self.rule.category_floor)", "room = sizes", "building"),
    _code(27, "balancing/recalibration.py", "for each in ids)", "for each in range(len(ids)))", "building"),
    _code(28, "reporting/cells.py", "SMALL = 100", "SMALL = 100\nBASELINE = 61.73", "analysis"),
    _code(29, "analysis/confidence.py", '"half": [max(1, stop.best_epoch // 2) for stop in stops],', "", "analysis"),
    _code(29, "analysis/confidence.py",
          "min(max(best_epoch, rule.floor)", "min(max(best_epoch - 1, rule.floor)", "analysis"),
    _code(30, "models/fusion.py", "return first_logits + second_logits, first_logits, second_logits",
          "return first_logits + second_logits, first_logits - self.first.bias / 2, second_logits", "training"),
    _code(30, "models/mmtm.py",
          "        if self.training:\n", "        if True:\n", "training"),
    _code(30, "training/transforms.py",
          "position = low + (torch.rand(low.shape, generator=generator) * (high - low)).long()",
          "position = low", "training"),
    _parsing(1, "data/llp.py", '"Car",\n    "Cheering"', '"Cheering",\n    "Car"'),
    _parsing(1, "data/llp.py", "return name[:11]", 'return name.rsplit("_", 2)[0].split("_")[0]'),
    _parsing(2, "analysis/parsing_scores.py", '(P, P) if gate == "global" else (p_a, p_v)', "(p_a, p_v)"),
    _parsing(3, "analysis/parsing_scores.py", "np.maximum(occurring, 1), 1.0)", "np.maximum(occurring, 1), 0.0)"),
    _parsing(3, "analysis/parsing_scores.py", "2 * shared >= one[1]", "2 * shared > one[1]"),
    _parsing(3, "analysis/parsing_scores.py", "(frame_prob >= THRESHOLD)", "(frame_prob > THRESHOLD)"),
    _parsing(3, "analysis/parsing_scores.py",
             "np.moveaxis(frame_prob >= THRESHOLD", "np.moveaxis(frame_prob > THRESHOLD"),
    _parsing(4, "analysis/parsing_scores.py", "scores[:, :3].mean(axis=1)", "scores[:, :2].mean(axis=1)"),
    _parsing(4, "analysis/parsing_scores.py", "each[:, :1] + each[:, 1:2]", "each[:, :1] + each[:, 2:3]"),
    _parsing(5, SHEET, "data: {gate: {value: global", "data: {gate: {value: modality"),
    _parsing(5, SHEET,
             "gate: {value: modality, source: \"code (JoMoLD", "gate: {value: global, source: \"code (JoMoLD"),
    _parsing(6, "models/parsing.py", "encoded: Tensor = self.fc_a(audio)", "encoded: Tensor = self.fc_a(audio).relu()"),
    _parsing(6, "models/parsing.py", "attended = self.norm_attended(attended)", "attended = attended"),
    _parsing(6, "models/parsing.py",
             "self.cross_attention = nn.MultiheadAttention(width, 1,",
             "self.cross_attention = nn.MultiheadAttention(width, 2,"),
    _parsing(7, "models/parsing.py", "av_att.softmax(2)", "av_att.softmax(1)"),
    _parsing(7, "models/parsing.py", "temporal = frame_att.softmax(1)", "temporal = frame_att.softmax(2)"),
    _parsing(7, "methods/parts/parsing.py",
             "known = probability.clamp(PROBABILITY_FLOOR, 1 - PROBABILITY_FLOOR)", "known = probability.sigmoid()"),
    _parsing(8, "models/han.py",
             'self.visual_heads = Heads(width, classes) if separate else None',
             "self.visual_heads = Heads(width, classes)"),
    _parsing(9, "methods/jomold.py", "= (2.0, 1.0, 1.0)", "= (1.0, 1.0, 1.0)"),
    _parsing(9, "methods/parts/parsing.py", "VISUAL_SMOOTHING = 0.9", "VISUAL_SMOOTHING = 1.0"),
    _parsing(9, "methods/jomold.py",
             "similarity.softmax(-1)).sum(-1).log().mean()", "similarity.log_softmax(-1)).sum(-1).mean()"),
    _parsing(10, SHEET, "visual_dropout: {value: 0.5", "visual_dropout: {value: 0.0"),
    _parsing(10, "models/han.py", "self.visual_dropout(f_v)", "f_v"),
    _parsing(11, "methods/jomold_ratios.py", "threshold_visual, VISUAL_SMOOTHING)", "threshold_visual)"),
    _parsing(11, "methods/jomold_ratios.py", "threshold_visual: Above0 = 1.8", "threshold_visual: Above0 = 0.6"),
    _parsing(11, "methods/jomold_ratios.py", "torch.stack(of_batches).mean(0)", "known.mean(0)"),
    _parsing(11, SHEET, "with_ca: {value: false", "with_ca: {value: true"),
    _parsing(12, "methods/parts/selection.py", "ratio * float(step.epoch > 0)", "ratio * float(step.epoch > 1)"),
    _parsing(12, "methods/jomold.py", "step.epoch == 0", "step.epoch < 0"),
    _parsing(12, "methods/jomold.py", "with torch.no_grad():", "with torch.enable_grad():"),
    _parsing(13, "methods/parts/parsing.py",
             "target.visual.masked_fill(gone.visual, 0)", "target.visual.masked_fill(gone.visual, 0.05)"),
    _parsing(13, "methods/jomold.py", "(share.double() * count).floor()", "(share.double() * count).ceil()"),
    _parsing(13, "methods/parts/selection.py", "RATIO_VIDEOS = 128", "RATIO_VIDEOS = 16"),
    _parsing(13, "methods/jomold.py", "denoised(label, Pair(audio, visual), ratio)",
             "denoised(batch.label, loss, ratio)"),
    _parsing(13, "methods/parts/parsing.py",
             "binary_cross_entropy(P, label),", "binary_cross_entropy(P, target.audio),"),
    _parsing(14, SHEET, "metric: {value: event_A", "metric: {value: event_V"),
    _parsing(14, SHEET, "decay_every: {value: 6", "decay_every: {value: 5"),
    _parsing(14, "training/protocol.py", "else value >= best", "else value > best"),
    _parsing(15, "models/parsing.py",
             "return self.s_a.detach(), self.s_v.detach()", "return self.p_a.detach(), self.p_v.detach()"),
    _parsing(15, "methods/parts/parsing.py", ".measured, batch.label,", ".measured, 0.9 * batch.label,"),
    _parsing(16, "methods/parts/modulation.py", "of_positive / positives.clamp_min(1) -", "of_positive -"),
    _parsing(16, "methods/parts/modulation.py", "max(value, FLOOR)", "abs(value)"),
    _parsing(17, "methods/parts/modulation.py", "1 - math.tanh(gamma * omega)", "1 - math.tanh(gamma * (omega - 1))"),
    _parsing(18, SHEET,
             'gamma: {value: 0.1, source: "paper, table VI"}', 'gamma: {value: 0.2, source: "paper, table VI"}'),
    _parsing(18, "methods/parts/modulation.py", "if omega > 1 else 1.0", "if omega >= 1 else 1.0"),
    _parsing(19, "models/han.py",
             "return [self.encoders[modality]]", "return [self.encoders[modality], self.attention]"),
    _parsing(19, "models/han.py",
             'return [self.encoders[modality], self.audio_heads if modality == "audio" else self.visual_heads]',
             "return [self.encoders[modality]]"),
    _parsing(19, "training/loop.py",
             "self.method.gradients(self.model, output, batch, step)\n        self.optimiser.step()",
             "self.optimiser.step()\n        self.method.gradients(self.model, output, batch, step)"),
    _parsing(20, "methods/parts/modulation.py", "deviation = (gradient.std()", "deviation = (mu * gradient.std()"),
    _parsing(20, "methods/parts/modulation.py", ".normal_(generator=generator)", ".normal_()"),
    _parsing(20, "training/loop.py", 'self.stream, "step", epoch, index)', 'self.stream, "step", epoch)'),
    _parsing(21, "methods/parts/modulation.py",
             "gradient.mul_(mu)\n        return", "gradient.mul_(mu - 1e-3)\n        return"),
    _parsing(22, "models/han.py", '{"audio": e_a, "visual": e_v}', '{"audio": f_a, "visual": f_v}'),
    _parsing(23, "methods/parts/parsing.py", "total + weight * measuring_loss(", "total + 0 * measuring_loss("),
    _parsing(23, "models/han.py", "tensor.detach() if self.msdu_detach else tensor", "tensor.detach()"),
    _parsing(23, "models/han.py", "measured_scores(self.audio_heads, tensor)",
             "measured_scores(self.audio_heads, 2 * tensor)"),
    _parsing(23, SHEET, "msdu_heads: {value: shared", "msdu_heads: {value: separate"),
    _parsing(23, SHEET, "msdu_detach: {value: true", "msdu_detach: {value: false"),
    _parsing(24, SHEET, "label: JoMoLD\n    needs: {ratios: {run: jomold-ratios,",
             "label: JoMoLD\n    needs: {ratios: {run: jomold-noise,"),
    _parsing(25, SHEET, "end_epoch: {value: 50", "end_epoch: {value: 49"),
    _parsing(25, SHEET, "gamma: {value: 0.8", "gamma: {value: 0.1"),
    _parsing(25, "methods/dgm.py", "modulated(model.group(name))", "model.group(name)"),
    _parsing(25, "features/recipes.py", "frames=188", "frames=187"),
    _parsing(26, SHEET, "decay_at: [60, 120]", "decay_at: [80, 160]"),
    _parsing(26, "models/psp.py", "threshold: Dropped = 0.099", "threshold: Dropped = 0.095"),
    _parsing(26, SHEET, "guide: {value: position", "guide: {value: unit"),
    _parsing(26, "methods/psp.py", "loss + weight * pair", "loss + pair"),
    _parsing(27, TABLES, '"Test part, epoch selected on validation', '"Epoch selected'),
    _parsing(27, SHEET, "{value: last, source", "{value: validation, source"),
    _parsing(28, SHEET, "label: STPN (approximate re-implementation)", "label: STPN"),
    _relevance(1, "paper.yaml", "\"Video Model, speech\", settings: {data: *speech}", "\"Video Model, speech\""),
    _relevance(1, "training/data.py", "replace(self, classes=classes, labels=labels,",
               "replace(self, classes=classes, labels=labels, split=np.roll(self.split, 1),"),
    _relevance(2, "data/audioset.py", "clips // 5, math.floor(clips * test_share)",
               "math.floor(clips * test_share), clips // 5"),
    _relevance(2, "data/audioset.py", "parts[np.argsort(np.asarray(ids))[generator.permutation(len(ids))]]",
               "parts[generator.permutation(len(ids))]"),
    _relevance(3, "data/audioset.py", "if speech_descendants else {SPEECH}", "if not speech_descendants else {SPEECH}"),
    _relevance(3, "data/audioset.py", "elif outdoor:", "else:"),
    _relevance(4, "features/recipes.py", "_DECIBEL_HOP = 1024, 512", "_DECIBEL_HOP = 1024, 500"),
    _relevance(4, "features/audio.py", "10 * np.log10(np.maximum(mel", "20 * np.log10(np.maximum(mel"),
    _relevance(5, "features/decode.py", "linspace(0, available - 1,", "linspace(0, available - 2,"),
    _relevance(5, "paper.yaml", "value: uniform8-k400r50", "value: uniform8-imagenetr50"),
    _relevance(6, "methods/parts/teachers.py", '    "features": "other features",\n', ""),
    _relevance(7, "models/relevance.py", "self.what).flatten(1)).relu()", "self.what).flatten(1))"),
    _relevance(7, "models/late_fusion.py", "(nn.Linear(*pair), nn.ReLU())", "(nn.Linear(*pair), nn.GELU())"),
    _relevance(8, "models/audio_teacher.py", "nn.Linear(settings.audio_width, classes)",
               "nn.Sequential(nn.Linear(settings.audio_width, 64), nn.ReLU(), nn.Linear(64, classes))"),
    _relevance(9, "paper.yaml", "hidden: {value: 128", "hidden: {value: 256"),
    _relevance(10, "models/kd_student.py", "settings.visual_width, classes)",
               "settings.visual_width, classes, bias=False)"),
    _relevance(11, "methods/parts/teachers.py", "logits[batch.index] =", "logits[batch.index.flip(0)] ="),
    _relevance(11, "methods/distillation.py", "(teacher.detach(), student)", "(student, teacher.detach())"),
    _relevance(12, "methods/distillation.py", "return temperature**2 * (", "return ("),
    _relevance(12, "paper.yaml", "temperature: {value: 1.0", "temperature: {value: 2.0"),
    _relevance(13, "paper.yaml", "modalities: {value: [visual, audio]", "modalities: {value: [audio, visual]"),
    _relevance(14, "models/late_fusion.py", "sum(widths[name] for name in self.modalities)", "sum(widths.values())"),
    _relevance(15, "methods/base.py", "cross_entropy(output.logits,", "cross_entropy(2 * output.logits,"),
    _relevance(16, "paper.yaml", "teacher_audio: {run: speech-audio}", "teacher_audio: {run: urban-rural-audio}"),
    _relevance(17, "analysis/conditions.py", "        kept[name] = gaussian(withheld, generator)\n",
               "        kept = {each: gaussian(value, generator) for each, value in kept.items()}\n"),
    _relevance(18, "paper.yaml", "missing_level: {value: fusion", "missing_level: {value: input"),
    _relevance(18, "training/tasks/relevance.py", 'if self.variant.level == "fusion":',
               'if self.variant.level == "input":'),
    _relevance(19, "training/tasks/relevance.py", "torch.from_numpy(source.clips.black)",
               "torch.zeros(len(source.clips.black))"),
    _relevance(20, "analysis/conditions.py", "silent = torch.zeros_like(silent)", "silent = torch.ones_like(silent)"),
    _relevance(20, "paper.yaml", "silence: {value: zero_tensor", "silence: {value: zero_waveform"),
    _relevance(21, "analysis/conditions.py", "torch.randn(like.shape[1:]", "torch.rand(like.shape[1:]"),
    _relevance(21, "training/tasks/relevance.py",
               'self.trainer.seed, "condition", condition.name)', 'self.trainer.seed, "condition")'),
    _relevance(22, "tables.yaml",
               "{value: urban-rural-student, label: Gaussian Video,", "{value: speech-student, label: Gaussian Video,"),
    _relevance(23, "analysis/relevance.py", "macro_f1=100 * float(f1.mean())",
               "macro_f1=100 * float(np.average(f1, weights=support))"),
    _relevance(24, "analysis/relevance.py", "np.nan_to_num(precision, nan=1.0)", "np.nan_to_num(precision, nan=0.0)"),
    _relevance(24, "tables.yaml", "precision: precision_zd1, recall", "precision: precision_zd0, recall"),
    _relevance(25, "paper.yaml", "select: {value: validation", "select: {value: last"),
    _relevance(25, "training/loop.py",
               "evaluations = {part: self.evaluate(part) for", 'evaluations = {part: self.evaluate("test") for'),
    # gmm-adaptive-loss
    _gap(1, "analysis/modality_gap.py", "shifted[np.arange(len(shifted)), label]", "shifted.max(axis=1)"),
    _gap(2, "methods/parts/gaps.py",
         "_, heard, seen = method.heads(trainer.model, output)",
         "heard, _, seen = method.heads(trainer.model, output)"),
    _gap(3, "analysis/modality_gap.py", 'return np.abs(signed) if kind == "abs" else signed', "return signed"),
    _gap(4, "analysis/modality_gap.py", "n_components=2,", "n_components=3,"),
    _gap(5, "methods/parts/gaps.py",
         'scores = training_scores(self, trainer, trainer.parts["train"])',
         'scores = training_scores(self, trainer, trainer.parts["test"])'),
    _gap(6, "analysis/gap_mixture.py", "if abs(means[0]) <= abs(means[1])", "if weights[0] <= weights[1]"),
    _gap(7, "analysis/gap_mixture.py",
         "prior = math.log(mixture.pi_I / mixture.pi_B) - math.log(", "prior = -math.log("),
    _gap(8, "methods/adaptive_loss.py", "d = signed.detach().double()", "d = signed.double()"),
    _gap(9, "methods/adaptive_loss.py", "if step.epoch < self.options.warm_up_epochs:", "if step.epoch < 0:"),
    _gap(10, "methods/adaptive_loss.py",
         "return finished >= self.options.warm_up_epochs", "return finished == self.options.warm_up_epochs"),
    _gap(11, "methods/adaptive_loss.py",
         "gap=((1 + options.alpha * w) * g).mean()", "gap=((1 + options.alpha * (1 - w)) * g).mean()"),
    _gap(12, "methods/adaptive_loss.py",
         "fusion=((1 + options.beta * (1 - w)) * ce_f).mean()", "fusion=((1 + options.beta * w) * ce_f).mean()"),
    _gap(13, "methods/adaptive_loss.py",
         "distance = (m - mu).square() + (s - sigma).square()", "distance = (m - mu).square()"),
    _gap(14, "methods/adaptive_loss.py", "uni=uni.mean(),", "uni=((1 + w) * uni).mean(),"),
    _gap(15, "methods/adaptive_loss.py", "            if weight:\n", "            if weight := weight or 0.01:\n"),
    _gap(16, "analysis/modality_gap.py", "if known.var() < SMALLEST_VARIANCE:", "if known.var() < 0:"),
    _gap(17, "paper.yaml",
         "label: Greedy (its own network)}", "label: Greedy (its own network), settings: {protocol: {epochs: 50}}}"),
    _gap(18, "models/fusion_net.py",
         "return ModelOutput(fused, scores, features)", 'return ModelOutput(scores["audio"], scores, features)'),
    _gap(19, "methods/fine_tuning.py",
         'trainer.parts["train"] = self.whole[chosen]', 'trainer.parts["train"] = self.whole'),
    _gap(20, "tables.yaml",
         "published_where: {checkpoint: best-test}\n    context", "published_where: {checkpoint: last}\n    context"),
    _gap(21, "paper.yaml",
         "label: Adaptive loss (our formulation)\n    method", "label: Adaptive loss\n    method"),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all mutants (or those of the items given); returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("items", nargs="*", type=int, help="items of the checklists of all papers; all by default")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args(arguments)
    chosen = [mutant for mutant in MUTANTS if not options.items or mutant.item in options.items]
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = snapshot(folder / "whole")
        problems = [text for mutant in chosen if (text := misfit(mutant, whole))]
        if not problems:
            done = run_tests(whole, sorted({mutant.tests for mutant in chosen}), "item")
            problems = [] if done.returncode == 0 else [f"without any mutation tests fail:\n{done.stdout}{done.stderr}"]
        if problems:
            print("\n".join(problems))
            return 1
        failed = 0
        with ThreadPoolExecutor(options.jobs) as pool:
            for mutant, (killed, text) in zip(
                chosen, pool.map(lambda mutant: judge(mutant, whole), chosen), strict=True
            ):
                print(f"item {mutant.item}: {text}", flush=True)
                failed += not killed
    print(f"{len(chosen)} mutants, {failed} not killed, {time.monotonic() - started:.0f} s")
    return 1 if failed else 0


def snapshot(place: Path) -> Path:
    """Copy what the tests need, with a plugin that ends a run in which another avbalance is imported."""
    for name in COPIED:
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, place / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
        else:
            shutil.copyfile(source, place / name)
    (place / "src" / "mutant_guard.py").write_text(GUARD, encoding="utf-8")
    return place


def misfit(mutant: Mutant, place: Path) -> str | None:
    """Why a mutation cannot be applied to the repository in `place`, or None."""
    count = (place / mutant.path).read_text(encoding="utf-8").count(mutant.old)
    sentence = (
        f"item {mutant.item}, {mutant.path}: {mutant.old!r} occurs {count} times, not once; mend tests/mutants.py"
    )
    return None if count == 1 else sentence


def run_tests(place: Path, files: Sequence[str], keyword: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of `files` whose names hold `keyword`, on the package that lies in `place`."""
    environment = {
        **os.environ, "PYTHONPATH": str(place / "src"), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    options = ["-x", "-q", "--tb=line", "-p", "no:cacheprovider", "-p", "no:xdist", "-p", "mutant_guard", "-k", keyword]
    command = [sys.executable, "-m", "pytest", *options, *files]
    return subprocess.run(command, cwd=place, env=environment, capture_output=True, text=True)


def judge(mutant: Mutant, whole: Path) -> tuple[bool, str]:
    """Whether a test of its item kills the mutant, and a line to print."""
    with tempfile.TemporaryDirectory(dir=whole.parent) as name:
        place = Path(name) / "repository"
        shutil.copytree(whole, place)
        file = place / mutant.path
        file.write_text(file.read_text(encoding="utf-8").replace(mutant.old, mutant.new), encoding="utf-8")
        done = run_tests(place, [mutant.tests], f"item_{mutant.item:02d}")
    killer = re.search(r"^(?:FAILED|ERROR) (\S+::\S+)", done.stdout, flags=re.MULTILINE)
    if done.returncode == 1 and killer:
        return True, f"killed by {killer[1]}"
    change = f"{mutant.path}: {mutant.old.strip()!r} -> {mutant.new.strip()!r}"
    if done.returncode == 0:
        return False, f"SURVIVED: {change}"
    return False, f"BROKEN, pytest ended with {done.returncode}: {change}\n{done.stdout}{done.stderr}"


if __name__ == "__main__":
    sys.exit(main())
