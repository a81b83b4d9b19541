"""Sweep results made up, as a sweep would measure them."""

import numpy as np

from gdjax.sweep import lineage
from gdjax.sweep.ledger import judge
from gdjax.sweep.results import SweepResult
from gdjax.sweep.table import Copies, Status


def synthetic(
    settings, family=None, seeds=2, steps=40, evaluations=4, mode="min", cliff=0.5, nan=False
):
    """A result as a sweep would measure it: a valley in the learning rate, then a cliff."""
    trials = len(next(iter(settings.values())))
    settings = {name: np.asarray(values, float) for name, values in settings.items()}
    rate = settings.get("learning_rate", np.full(trials, 0.01))
    rate = np.where(np.isnan(rate), 0.01, rate)
    rng = np.random.default_rng(0)
    floor = 0.05 * (1 + np.abs(np.log10(rate / 0.01)))[:, None, None]
    decay = np.exp(-np.arange(steps) / steps * 4)
    loss = floor + 2.3 * decay * rng.uniform(0.8, 1.2, (trials, seeds, steps))
    loss[..., 0] = 2.3
    wild = np.flatnonzero(rate > cliff)
    for trial in wild:
        loss[trial, :, 5:] = np.nan if trial % 2 else 1e30
    segments = evaluations or 4
    at = np.linspace(steps // segments, steps, segments).astype(int)
    measured = {}
    if evaluations:
        measured["heldout_loss"] = loss[..., at - 1]
        measured["heldout_accuracy"] = 1 / (1 + np.nan_to_num(loss[..., at - 1], posinf=9.0))
    traces = {"loss": loss.astype(np.float32)}
    if nan:
        traces["gradient_norm"] = np.full_like(traces["loss"], np.nan)
    judged = judge(loss.reshape(-1, steps), np.isfinite(loss[..., -1]).ravel())
    diverged, since, reason = (values.reshape(trials, seeds) for values in judged)
    objective = "heldout_loss" if mode == "min" else "heldout_accuracy"
    attributes = {
        "objective": objective if evaluations else "loss",
        "mode": mode,
        "gdjax": "0.1.0",
        "jax": "0.10",
        "device": "1 x cpu (cpu)",
        "steps": steps,
        "segment": max(1, steps // 10),
        "width": 16,
        "key": 0,
        "compile_seconds": 1.25,
        "run_seconds": 2.0,
    }
    return SweepResult(
        family=np.asarray(["adam"] * trials if family is None else family),
        settings=settings,
        traces=traces,
        evaluations=measured,
        evaluation_steps=at,
        status=np.where(diverged, Status.DIVERGED, Status.DONE).astype(np.int8),
        diverged_at=np.where(diverged, since, -1),
        width=np.full((trials, segments), 16),
        lost=np.zeros(trials, bool),
        reason=reason,
        attributes=attributes,
    )


def halved(result, made):
    """The same result where a scheduler stopped trials: each ``made`` so many segments."""
    segments = result.width.shape[1]
    never = np.arange(segments) >= np.asarray(made)[:, None]
    result.width[never] = 0
    for values in result.evaluations.values():
        values[np.broadcast_to(never[:, None], values.shape)] = np.nan
    for values in result.traces.values():
        steps = np.repeat(never, values.shape[-1] // segments, axis=1)[:, None]
        values[np.broadcast_to(steps, values.shape)] = np.nan
    result.lost[:] = never.any(axis=1)
    stopped = result.lost[:, None] & (result.status != Status.DIVERGED)
    result.status[stopped] = Status.STOPPED
    return result


def copied(result, copies):
    """The same result where trials copied others: parent and settings by child and segment."""
    past = lineage.start(result.settings, result.seeds, result.width.shape[1])
    for (child, segment), (parent, settings) in copies.items():
        used = {name: np.asarray([value]) for name, value in settings.items()}
        who = Copies(np.asarray([child]), np.asarray([parent]), used)
        past.record(who, segment, np.full(result.status.shape, -1), result.reason)
    result.copied, result.settings = past, past.current()
    return result


RATES = np.logspace(-4, 0, 9)
GRID = dict(zip(("learning_rate", "weight_decay"), np.meshgrid(RATES, [0, 1e-3, 0.1]), strict=True))
GRID = {name: values.ravel() for name, values in GRID.items()}
NAN = np.full(9, np.nan)
THREE = {
    "learning_rate": np.concatenate([RATES, RATES, RATES]),
    "momentum": np.concatenate([NAN, np.linspace(0, 0.99, 9), NAN]),
    "delay": np.concatenate([NAN, NAN, np.arange(9)]),
}
