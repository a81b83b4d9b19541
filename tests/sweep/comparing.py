"""Bit for bit: what two sweeps measured, and what a trial measures again."""

import hashlib

import numpy as np


def arrays(result):
    """All that a sweep measured, by name."""
    runs = {name: getattr(result, name) for name in ("status", "diverged_at", "reason", "width")}
    return runs | result.traces | result.evaluations


def check_same(a, b, mine=None, theirs=None):
    """Trials ``mine`` of one sweep and ``theirs`` of another are bit-equal; all where None."""
    a, b = arrays(a), arrays(b)
    assert list(a) == list(b)
    for name in a:
        x, y = a[name][slice(None) if mine is None else mine], b[name]
        np.testing.assert_array_equal(x, y[slice(None) if theirs is None else theirs], name)
        assert x.dtype.kind == y.dtype.kind


def check_reruns(result, trials=None):
    """Each trial that was started measures the same again, bit for bit."""
    for trial in range(result.trials) if trials is None else trials:
        again = result.rerun(trial)
        measured = {**result.traces, **result.evaluations}
        for name, values in {**again.traces, **again.evaluations}.items():
            np.testing.assert_array_equal(values, measured.pop(name)[trial], f"{trial}: {name}")
            assert values.dtype.kind == "f"
        assert not measured


def digest(result):
    """A sha256 of all that a sweep measured."""
    sha = hashlib.sha256()
    for name, values in arrays(result).items():
        sha.update(name.encode())
        sha.update(values.astype("U80").tobytes() if name == "reason" else values.tobytes())
    return sha.hexdigest()
