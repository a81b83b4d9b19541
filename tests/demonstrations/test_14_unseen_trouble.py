"""Unseen trouble: a report that names it, and a remedy that can be pasted from there."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import diagnostics

SEEDS, STEPS, TROUBLE = 5, 120, "exploding gradients"
DIGITS = gdjax.problems.digits(hidden=(32,))


def batch(key, step):
    """Once in 50 steps the pixels are not scaled."""
    images = DIGITS.batch(key, step)
    return images | {"x": images["x"] * jnp.where(step % 50 == 49, 256, 1)}


def sweep(optimizer):
    """One setting, looked at at each update."""
    task = dataclasses.replace(DIGITS, batch=batch).with_monitors(diagnostics.norms())
    with_rate = {"trained": lambda rate: gdjax.chain(optimizer, gdjax.scale(rate))}
    return gdjax.sweep(task, with_rate, {"rate": 1.0}, seeds=SEEDS, steps=STEPS, segment=1)


@pytest.fixture(scope="module")
def plain():
    return sweep(gdjax.sgd(0.1))


def test_the_report_names_the_trouble_and_its_remedy(plain, tmp_path):
    plain.save(tmp_path)
    gdjax.report.write(gdjax.SweepResult.load(tmp_path), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert f"<b>{TROUBLE}</b>, in 100% of the seeds" in page
    assert "gdjax.clip_by_global_norm(" in page
    norms = plain.evaluations["gradient_norm"][0]  # [seed, update]
    spikes = np.asarray(diagnostics.spikes(norms, factor=30.0))
    assert spikes[:, 49].all()
    assert not spikes[:, :49].any()


def test_the_remedy_works_and_the_trouble_is_gone(plain):
    (finding,) = [f for f in gdjax.diagnose_sweep(plain).findings if f.challenge == TROUBLE]
    pasted = {"gdjax": gdjax, "optimizer": gdjax.sgd(0.1)}
    exec(finding.remedy, pasted)
    cured = sweep(pasted["optimizer"])
    assert TROUBLE not in gdjax.diagnose_sweep(cured).challenges
    before, after = (result.final("heldout_accuracy")[0] for result in (plain, cured))
    assert (before < 0.5).all()
    assert (after > 0.8).all()
