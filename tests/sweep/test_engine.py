import jax
import jax.numpy as jnp
import numpy as np
import optax

import gdjax
from gdjax import LogUniform, Task
from gdjax.sweep.table import Status

RATES = {"learning_rate": [0.5, 0.25]}


def bits(result):
    return [*result.traces.values(), *result.evaluations.values()]


def test_a_small_sweep_by_hand(halving):
    """Params <- params - rate * params; each factor is a power of two, so nothing is rounded."""
    result = gdjax.sweep(halving, gdjax.sgd, RATES, seeds=2, steps=3, key=3)
    starts = [
        np.where(jax.random.bernoulli(jax.random.split(jax.random.fold_in(root, seed))[0]), 1, -2)
        for root in [jax.random.key(3)]
        for seed in range(2)
    ]
    expected = np.empty((2, 2, 3), np.float32)
    for trial, rate in enumerate([0.5, 0.25]):
        for seed, params in enumerate(starts):
            for step in range(3):
                expected[trial, seed, step] = params * params / 2
                params = params - rate * params
    assert {float(x) for x in starts} == {1.0, -2.0}
    np.testing.assert_array_equal(result.traces["loss"], expected)
    assert result.settings["learning_rate"].tolist() == [0.5, 0.25]
    assert result.family.tolist() == ["sgd", "sgd"]
    assert (result.status == Status.DONE).all()


def test_a_trial_in_a_sweep_is_the_trial_alone(noisy):
    """To rounding: a program of another width fuses differently."""
    result = gdjax.sweep(noisy, gdjax.adam, RATES, seeds=2, steps=6, key=1)
    for trial, rate in enumerate([0.5, 0.25]):
        for seed in range(2):
            key = jax.random.fold_in(jax.random.key(1), seed)
            alone = gdjax.train(noisy, gdjax.adam(rate), 6, key)
            np.testing.assert_allclose(
                result.traces["loss"][trial, seed], alone.traces["loss"], rtol=1e-5
            )
            np.testing.assert_allclose(
                result.evaluations["size"][trial, seed, -1], alone.evaluation["size"], rtol=1e-5
            )


def test_rerun_of_every_trial_is_bit_equal(noisy):
    families = {"adam": gdjax.adam, "sgd": lambda learning_rate, b: gdjax.sgd(learning_rate, b)}
    space = {"learning_rate": LogUniform(1e-3, 1e3), "b": [0.5, 0.9]}
    result = gdjax.sweep(noisy, families, space, trials=5, seeds=3, steps=7, width=4, segment=3)
    assert result.trials == 10
    for trial in range(10):
        again = result.rerun(trial)
        for name, values in again.traces.items():
            np.testing.assert_array_equal(values, result.traces[name][trial])
        for name, values in again.evaluations.items():
            np.testing.assert_array_equal(values, result.evaluations[name][trial])
        assert again.params.shape == (3, 4)


def test_neighbours_and_order_change_no_bit(noisy):
    """The same trials among others, in another order, beside NaN from the first step."""

    def family(learning_rate, poison):
        return gdjax.chain(gdjax.scale(1 / (1 - poison)), gdjax.sgd(learning_rate))

    rates = np.array([0.01, 0.02, 0.03, 0.04, 0.05, 0.06])
    alone = gdjax.sweep(
        noisy, family, {"learning_rate": rates.tolist(), "poison": 0.0}, steps=5, width=3
    )
    mixed = gdjax.sweep(
        noisy,
        family,
        {"learning_rate": rates[::-1].tolist(), "poison": [0.0, 0.5]},
        steps=5,
        width=3,
    )
    clean = mixed.settings["poison"] == 0
    for a, b in zip(bits(alone), bits(mixed), strict=True):
        np.testing.assert_array_equal(a, b[clean][::-1])


def test_a_run_that_is_nan_from_the_start_harms_nobody():
    def loss(params, batch, key):
        return jnp.where(params["poison"] > 0, jnp.nan, 1.0) * params["x"] ** 2

    def family(learning_rate, eps):
        # an eps of 1 marks the run: its first update makes the loss NaN from then on
        mark = gdjax.transformation()(
            lambda updates, state, params, eps: (
                {"x": updates["x"], "poison": updates["poison"] * 0 + eps},
                state,
            )
        )
        return gdjax.chain(mark(eps), gdjax.scale_by_learning_rate(learning_rate, flip_sign=False))

    task = Task(
        init=lambda key: {"x": jax.random.normal(key), "poison": jnp.zeros(())},
        loss=loss,
        batch=lambda key, step: None,
    )
    space = {"learning_rate": [0.1, 0.2], "eps": [0.0, 1.0]}
    mixed = gdjax.sweep(task, family, space, steps=4)
    clean = gdjax.sweep(task, family, {"learning_rate": [0.1, 0.2], "eps": [0.0, 0.0]}, steps=4)
    np.testing.assert_array_equal(mixed.traces["loss"][[0, 2]], clean.traces["loss"][[0, 2]])
    assert mixed.status[:, 0].tolist() == [Status.DONE, Status.DIVERGED] * 2
    assert mixed.diverged_at[:, 0].tolist() == [-1, 1, -1, 1]
    assert mixed.reason[1, 0] == "loss is nan"


def test_one_program_for_a_family_and_none_for_the_same_again(noisy):
    traces = []

    def loss(params, batch, key):
        traces.append(None)
        return noisy.loss(params, batch, key)

    def run(rates):
        traces.clear()
        gdjax.sweep(task, gdjax.sgd, {"learning_rate": rates}, steps=4, segment=3)
        return len(traces)

    task = Task(noisy.init, loss, noisy.batch)
    assert run([0.1, 0.2, 0.3]) <= 4  # the check, also on the devices; the program and its shapes
    assert run([0.4, 0.5, 0.6]) == 0


def test_narrow_losses_are_kept_as_float32(tmp_path):
    task = Task(
        init=lambda key: jnp.ones((), jnp.bfloat16),
        loss=lambda params, batch, key: params**2,
        batch=lambda key, step: None,
    )
    result = gdjax.sweep(task, gdjax.sgd, RATES, steps=2, directory=tmp_path)
    assert result.traces["loss"][0, 0].tolist() == [1.0, 0.0]
    assert result.rerun(0).params.dtype == jnp.bfloat16


def test_seeds_start_alike_in_every_trial(noisy):
    result = gdjax.sweep(noisy, gdjax.sgd, RATES, seeds=3, steps=2)
    first = result.traces["loss"][:, :, 0]
    np.testing.assert_array_equal(first[0], first[1])
    assert len(set(first[0].tolist())) == 3


def test_families_take_the_dimensions_that_they_name(noisy):
    def momentum(learning_rate, decay):
        return gdjax.sgd(learning_rate, decay)

    families = {"adam": gdjax.adam, "momentum": momentum}
    result = gdjax.sweep(noisy, families, RATES | {"decay": [0.5, 0.9]}, steps=2)
    assert result.family.tolist() == ["adam"] * 2 + ["momentum"] * 4
    assert np.isnan(result.settings["decay"]).tolist() == [True] * 2 + [False] * 4
    assert "decay" not in gdjax.sweep(noisy, gdjax.adam, RATES, steps=1).settings


def test_optax_inside_a_family(noisy):
    def family(learning_rate):
        return gdjax.chain(optax.clip(0.1), gdjax.sgd(learning_rate))

    assert gdjax.sweep(noisy, family, RATES, steps=2).traces["loss"].shape == (2, 1, 2)


def test_segments_evaluate_and_the_last_may_be_short(noisy):
    result = gdjax.sweep(noisy, gdjax.sgd, RATES, steps=7, segment=3)
    assert result.evaluation_steps.tolist() == [3, 6, 7]
    assert result.evaluations["size"].shape == (2, 1, 3)
    whole = gdjax.sweep(noisy, gdjax.sgd, RATES, steps=7, segment=7)
    np.testing.assert_allclose(result.traces["loss"], whole.traces["loss"], rtol=1e-6)
