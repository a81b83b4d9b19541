"""Bit for bit: what two sweeps measured, and what a trial measures again."""

import hashlib

import numpy as np


def arrays(result):
    """All that a sweep measured, by name."""
    runs = {name: getattr(result, name) for name in ("status", "diverged_at", "reason", "width")}
    if result.copied is not None:
        runs |= result.copied.arrays()
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
    """Each trial that was started measures the same again, bit for bit, along its lineage."""
    for trial in range(result.trials) if trials is None else trials:
        again, path = result.rerun(trial), result.lineage(trial)
        assert again.traces.keys() == result.traces.keys()
        assert again.evaluations.keys() == result.evaluations.keys()
        for name, values in again.traces.items():
            expected = np.full_like(values, np.nan)
            for place, begin, end, _ in path:
                expected[:, begin:end] = result.traces[name][place, :, begin:end]
            np.testing.assert_array_equal(values, expected, f"{trial}: {name}")
            assert values.dtype.kind == "f"
        for name, values in again.evaluations.items():
            expected = np.full_like(values, np.nan)
            for i, ancestor in enumerate(path):
                expected[:, i] = result.evaluations[name][ancestor.trial, :, i]
            np.testing.assert_array_equal(values, expected, f"{trial}: {name}")
            assert values.dtype.kind == "f"


def digest(result):
    """A sha256 of all that a sweep measured."""
    sha = hashlib.sha256()
    for name, values in arrays(result).items():
        sha.update(name.encode())
        sha.update(values.astype("U80").tobytes() if "reason" in name else values.tobytes())
    return sha.hexdigest()
