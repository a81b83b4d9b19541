"""Rules that Optax does not have, update by update against the library pytorch-optimizer.

Its trajectories were made by `tests/trajectories/pytorch_optimizer.py`. Where it defines a rule
otherwise, our arguments say how; nothing else is let through but rounding.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import gdjax
from gdjax.transforms import CorrectByMarsState, ScaleByShampooState
from tests.runs import enable_x64, jit
from tests.trajectories import pytorch_optimizer as theirs

STORED = json.loads(theirs.DATA.read_text())["calls"]


def before_debiasing(eps, b2, first=1):
    """An ``eps`` that is added to the root before it is debiased."""
    return lambda count: eps / jnp.sqrt(1 - b2 ** jnp.maximum(count + first, 1))


def begun(optimizer, kind, begin):
    """The optimizer, with every state of one kind changed by ``begin`` before the first step."""

    def init(params):
        states = optimizer.init(params)
        return jax.tree.map(
            lambda x: begin(x) if isinstance(x, kind) else x,
            states,
            is_leaf=lambda x: isinstance(x, kind),
        )

    return optax.GradientTransformationExtraArgs(init, optimizer.update)


def by_name(optimizer):
    """Each array by itself."""
    return gdjax.partition(dict.fromkeys(theirs.SHAPES, optimizer), {n: n for n in theirs.SHAPES})


def soap(b1, b2, eps, weight_decay=0.0, **arguments):
    """SOAP with pytorch-optimizer's decay, which is of the parameters after they have moved.

    ``(1 - rate * decay) * (p - rate * u)``, and not at the first step, at which nothing moves.
    Steps are debiased, and ``eps`` counts them, from the second on.
    """
    rate = 0.1
    return gdjax.chain(
        gdjax.scale_by_soap(b1, b2, eps=before_debiasing(eps, b2, first=0), **arguments),
        gdjax.scale(1 - rate * weight_decay),
        gdjax.add_decayed_weights(lambda count: jnp.where(count > 0, weight_decay, 0.0)),
        gdjax.scale_by_learning_rate(rate),
    )


def with_ridge(optimizer, ridge):
    """With Shampoo's statistics begun at ``ridge * I``, which then has the weight of a gradient."""

    def begin(state):
        statistics = jax.tree.map(lambda s: ridge * jnp.eye(len(s)), state.statistics)
        return state._replace(statistics=statistics, statistics_weight=jnp.ones(()))

    return begun(optimizer, ScaleByShampooState, begin)


def shampoo(frequency, ridge, weight_decay=0.0):
    """Shampoo of sums ``ridge * I + g_1 g_1^T + ... + g_t g_t^T``, as in its paper.

    They are ``t + 1`` times the averages that weigh all alike, of a decay that grows. An array of
    ``k`` axes has ``k`` roots, each a power of ``-1 / (2 k)``: ``u`` is divided by
    ``sqrt(t + 1)``, where ``t`` counts the gradients that are in the roots.
    """

    def factor(count):
        return (count - count % frequency + 2.0) ** -0.5

    scaling = gdjax.scale_by_shampoo(
        b1=0.0,
        b2=lambda count: (count + 1.0) / (count + 2.0),
        eps=0.0,
        precondition_frequency=frequency,
    )
    return gdjax.chain(
        with_ridge(scaling, ridge),
        gdjax.scale_by_schedule(factor),
        gdjax.add_decayed_weights(weight_decay),
        gdjax.scale_by_learning_rate(0.3),
    )


def grafted_shampoo():
    """Shampoo with RMSProp's norms; momentum comes last, and the decay at once.

    Nothing is debiased: the averages are as if their weights had always had the sum 1. Arrays of
    one axis get RMSProp.
    """
    rms = gdjax.scale_by_rms(0.9, 1e-3, eps_in_sqrt=False)
    scaling = gdjax.scale_by_shampoo(b1=0.0, b2=0.9, eps=0.0, precondition_frequency=3)
    labels = {name: len(shape) > 1 for name, shape in theirs.SHAPES.items()}
    return gdjax.chain(
        gdjax.partition({1: with_ridge(gdjax.graft(scaling, rms), 1e-3), 0: rms}, labels),
        gdjax.trace(0.8, nesterov=True),
        gdjax.add_decayed_weights(0.5),
        gdjax.scale_by_learning_rate(0.03),
    )


def adam_grafted_shampoo():
    """Shampoo with Adam's norms, so that no scale of the roots is left.

    Roots are computed at the first step and when the steps are a multiple of 3: a frequency of 1
    where they are, and at other steps one that is not reached. One of three axes rests.
    """
    scaling = gdjax.scale_by_shampoo(
        0.8,
        0.9,
        eps=0.0,
        precondition_frequency=lambda count: jnp.where((count + 1) % 3 == 0, 1, theirs.STEPS),
    )
    grafted = with_ridge(gdjax.graft(scaling, gdjax.scale_by_adam(0.8, 0.95, 1e-3)), 1e-3)
    labels = {name: len(shape) < 3 for name, shape in theirs.SHAPES.items()}
    optimizer = gdjax.chain(
        grafted, gdjax.add_decayed_weights(0.5), gdjax.scale_by_learning_rate(0.1)
    )
    return gdjax.partition({1: optimizer, 0: gdjax.set_to_zero()}, labels)


def mars(optimizer):
    """With 0 for the gradient before the first; the norm of each array by itself is bounded.

    Under the root it also adds 1e-15 before debiasing, which `mars_adamw` has no argument for: it
    changes no step by more than 1e-10 of it.
    """
    return by_name(begun(optimizer, CorrectByMarsState, lambda s: s._replace(count=s.count + 1)))


OURS = {
    "soap": lambda: soap(0.8, 0.9, 1e-4, shampoo_beta=0.7, precondition_frequency=3),
    "soap_of_vectors_too": lambda: soap(
        0.9, 0.8, 0.0, weight_decay=0.5, precondition_frequency=1, precondition_1d=True
    ),
    "soap_of_short_axes": lambda: soap(0.8, 0.9, 1e-4, precondition_frequency=5, max_precond_dim=3),
    "shampoo": lambda: shampoo(1, 1e-3),
    "shampoo_of_old_roots": lambda: shampoo(3, 1.0, weight_decay=0.5),
    "grafted_shampoo": grafted_shampoo,
    "adam_grafted_shampoo": adam_grafted_shampoo,
    "mars_adamw": lambda: mars(
        gdjax.mars_adamw(0.1, 0.8, 0.9, before_debiasing(1e-3, 0.9), 0.5, gamma=0.1)
    ),
    "cautious_mars": lambda: mars(
        gdjax.chain(
            gdjax.cautious(
                gdjax.chain(
                    gdjax.correct_by_mars(0.8, 0.1),
                    gdjax.clip_by_global_norm(1.0),
                    gdjax.scale_by_adam(
                        0.8,
                        0.9,
                        before_debiasing(1e-3, 0.9),
                        lambda count: 1e-15 / (1 - 0.9 ** (count + 1.0)),
                    ),
                )
            ),
            gdjax.scale_by_learning_rate(0.1),
        )
    ),
    "cautious_adamw": lambda: gdjax.cautious_adamw(0.1, 0.8, 0.9, 1e-3, 0.5),
    "cautious_lion": lambda: gdjax.chain(
        gdjax.cautious(gdjax.scale_by_lion(0.7, 0.9)), gdjax.scale_by_learning_rate(0.1)
    ),
    "prodigy": lambda: gdjax.prodigy(
        betas=(0.8, 0.9), eps=1e-3, estim_lr0=0.01, estim_lr_coef=0.8, weight_decay=0.5
    ),
    "prodigy_safeguarded": lambda: gdjax.prodigy(
        0.5, (0.8, 0.9), 0.7, 1e-3, 0.05, 2.0, safeguard_warmup=True
    ),
    "dadapt_adamw": lambda: gdjax.dadapt_adamw(
        betas=(0.8, 0.9), eps=1e-3, estim_lr0=0.01, weight_decay=0.5
    ),
    # It clips the first step that moves at the fourth root of 2, the paper at that of 1.
    "adopt": lambda: gdjax.adopt(
        0.1, 0.8, 0.9, 1e-3, clip_value_fn=lambda count: (count + 1.0) ** 0.25
    ),
    "ademamix": lambda: gdjax.ademamix(0.1, 0.8, 0.9, 0.95, 3.0, 1e-3, weight_decay=0.5),
    "adan": lambda: gdjax.adan(0.1, 0.8, 0.7, 0.9, 1e-3, 0.0, 0.5),
    "asam": lambda: gdjax.asam(gdjax.sgd(0.1, 0.5), rho=0.5, eta=0.0),
}


def trajectory(optimizer):
    """All parameters after each step, in one program."""
    optimizer = optax.with_extra_args_support(optimizer)

    def vector(params):
        return jnp.concatenate([jnp.ravel(params[name]) for name in theirs.SHAPES])

    def step(carry, target):
        def grad_fn(params):
            return theirs.split(theirs.gradient(vector(params), target))

        params, state = carry
        updates, state = optimizer.update(grad_fn(params), state, params, grad_fn=grad_fn)
        params = optax.apply_updates(params, updates)
        return (params, state), vector(params)

    def run():
        params = jax.tree.map(jnp.asarray, theirs.START)
        return jax.lax.scan(step, (params, optimizer.init(params)), theirs.TARGETS)[1]

    return np.asarray(jit(run)())


def moves(seen):
    """What each step adds."""
    return np.diff(seen, axis=0, prepend=[theirs.numbers(theirs.START)])


def test_all_that_is_stored_is_compared():
    assert list(STORED) == list(theirs.CALLS.values())
    assert list(OURS) == list(theirs.CALLS)


def test_a_trajectory_moves():
    """What does not move would agree with anything; SOAP and ADOPT begin at the second step."""
    for call, seen in STORED.items():
        largest = np.abs(moves(np.array(seen))).max(axis=1)
        assert (largest[1:] > 1e-3).all(), call
        assert (largest[0] == 0) == call.startswith(("SOAP", "ADOPT")), call


@pytest.mark.parametrize("name", OURS)
def test_it_takes_the_same_steps(name):
    expected = np.array(STORED[theirs.CALLS[name]])
    with enable_x64(True):
        ours = trajectory(OURS[name]())
    ours, expected = moves(ours), moves(expected)
    for step, (our, move) in enumerate(zip(ours, expected, strict=True)):
        rounding = 1e-10 * np.abs(move).max()
        np.testing.assert_allclose(our, move, rtol=0, atol=rounding, err_msg=f"step {step}")
