"""The page "Coming from elsewhere" against what the other libraries themselves did.

The trajectories were made by `tests/trajectories/make.py`; those of MATLAB follow its documented
formulas, written out here in NumPy.
"""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from tests.runs import enable_x64
from tests.trajectories import make

PREAMBLE, EXPRESSIONS = make.expressions(make.PAGE.read_text())
DATA = [json.loads((make.HERE / f"{library}.json").read_text()) for library in make.LIBRARIES]
STORED = {call: values for data in DATA for call, values in data["calls"].items()}
MATLAB = [call for call in EXPRESSIONS if call.startswith("trainingOptions")]


def evaluate(call):
    names = {}
    exec(PREAMBLE, names)
    return eval(EXPRESSIONS[call], names)


def trajectory(optimizer, params, gradient_of):
    """All parameters in one list, after each step that is stored."""
    params = jax.tree.map(jnp.asarray, params)
    state, seen = optimizer.init(params), []
    for step in range(1, make.STEPS + 1):
        updates, state = optimizer.update(gradient_of(params, step), state, params)
        params = optax.apply_updates(params, updates)
        if step in make.SEEN:
            seen.append(make.numbers(params) if isinstance(params, dict) else params.tolist())
    return seen


def of_a_row(params, step):
    row, target = make.ROWS[step - 1], make.TARGETS[step - 1]
    return (params @ row - target) * row


def test_each_call_on_the_page_has_its_trajectory():
    assert sorted(EXPRESSIONS) == sorted([*STORED, *MATLAB])


def test_the_page_names_all_that_there_is():
    words = set(re.findall(r"\w+", make.PAGE.read_text()))
    assert [name for data in DATA for name in data["names"] if name not in words] == []


def test_a_trajectory_moves():
    """What does not move would agree with anything."""
    for call, values in STORED.items():
        assert np.isfinite(values).all(), call
        assert not np.allclose(values[0], values[-1], rtol=1e-6, atol=0), call


@pytest.mark.parametrize("call", STORED)
def test_it_takes_the_same_steps(call):
    with enable_x64(True):
        ours, theirs = evaluate(call), STORED[call]
        if not hasattr(ours, "update"):
            ours = [float(ours(jnp.asarray(count))) for count in range(make.COUNTS)]
        elif "SGDRegressor" in call:
            ours = trajectory(ours, np.zeros(3), of_a_row)
        else:
            ours = trajectory(ours, make.START, lambda params, _: make.gradient(params))
        # There Keras rounds Python numbers to float32, whatever its floatx.
        single = "clipnorm" in call or call.startswith("keras.optimizers.Adafactor")
        rounding = 1e-7 if single else 1e-10
        np.testing.assert_allclose(ours, theirs, rtol=rounding, atol=1e-15)


def documented(
    solver,
    Momentum=0.9,
    GradientDecayFactor=0.9,
    Epsilon=1e-8,
    L2Regularization=1e-4,
    LearnRateSchedule="none",
    LearnRateDropFactor=0.1,
    LearnRateDropPeriod=10,
    GradientThreshold=np.inf,
):
    """Steps as MATLAB documents `trainingOptions`, with epochs of one iteration."""
    rate = 0.01 if solver == "sgdm" else 0.001
    b1, b2 = GradientDecayFactor, {"rmsprop": 0.9, "adam": 0.999}.get(solver)
    params = {name: value.copy() for name, value in make.START.items()}
    last = {name: np.zeros_like(value) for name, value in params.items()}
    m = {name: np.zeros_like(value) for name, value in params.items()}
    v = {name: np.zeros_like(value) for name, value in params.items()}
    seen = []
    for step in range(1, make.STEPS + 1):
        alpha = rate
        if LearnRateSchedule == "piecewise":
            alpha *= LearnRateDropFactor ** ((step - 1) // LearnRateDropPeriod)
        for name, g in make.gradient(params).items():
            g = g + L2Regularization * params[name] * (name == "w")
            g = g * min(1, GradientThreshold / np.sqrt(np.sum(g**2)))
            m[name] = b1 * m[name] + (1 - b1) * g
            if b2 is not None:
                v[name] = b2 * v[name] + (1 - b2) * g**2
            if solver == "sgdm":
                move = Momentum * last[name] - alpha * g
            elif solver == "rmsprop":
                move = -alpha * g / (np.sqrt(v[name]) + Epsilon)
            else:
                m_hat, v_hat = m[name] / (1 - b1**step), v[name] / (1 - b2**step)
                move = -alpha * m_hat / (np.sqrt(v_hat) + Epsilon)
            params[name], last[name] = params[name] + move, move
        if step in make.SEEN:
            seen.append(make.numbers(params))
    return seen


@pytest.mark.parametrize("call", MATLAB)
def test_it_takes_the_steps_that_matlab_documents(call):
    theirs = eval(call, {"trainingOptions": documented})
    with enable_x64(True):
        ours = trajectory(evaluate(call), make.START, lambda params, _: make.gradient(params))
    np.testing.assert_allclose(ours, theirs, rtol=1e-10, atol=1e-15)
