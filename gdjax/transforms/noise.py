"""Adding random numbers: annealed noise, Langevin dynamics, noise at saddles.

The key of the next step's numbers stands in the state. Numbers are drawn in at least float32,
for one array after another, as ``optax.tree.random_like`` does.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from gdjax import draws, trees
from gdjax.ranges import Decay, NonNegative, Positive, Steps
from gdjax.transformation import transformation


def _first_noise(params: Any, key: Any) -> optax.AddNoiseState:
    del params
    return optax.AddNoiseState(jnp.zeros((), jnp.int32), draws.random_key(key))


@transformation(init=_first_noise)
def add_noise(
    updates: Any,
    state: optax.AddNoiseState,
    params: Any,
    eta: NonNegative,
    gamma: NonNegative,
    key: Any,
) -> tuple[Any, optax.AddNoiseState]:
    """Add normal noise whose variance falls with the steps.

    ``u = g + sqrt(eta / count**gamma) * noise``, where ``count`` is 1 at the first step.

    Args:
      eta: variance of the noise at the first step, in units of the updates squared.
      gamma: how fast the variance falls.
      key: PRNG key, or a seed.

    State:
      count: updates made so far, an int32 scalar.
      rng_key: key of the next step's noise.

    Reference:
      Neelakantan et al., Adding gradient noise improves learning for very deep networks
      (https://arxiv.org/abs/1511.06807), equation 1.

    >>> init, update = add_noise(eta=0.0, gamma=0.55, key=0)
    >>> update(jnp.array([2.0]), init(jnp.zeros(1)))[0]
    Array([2.], dtype=float32)
    """
    count = jnp.asarray(optax.safe_increment(state.count))
    rng_key, noise = _draw(state.rng_key, updates)
    deviation = trees.sqrt(eta / count**gamma)
    updates = trees.map_leaves(lambda g, x: g + deviation * x, updates, given=(noise,))
    return updates, optax.AddNoiseState(count, rng_key)


class LangevinState(NamedTuple):
    """State of :func:`langevin_step`."""

    rng_key: Any  # key, or its uint32 data: of the next step's noise


def _first_key(params: Any, key: Any) -> LangevinState:
    del params
    return LangevinState(draws.random_key(key))


@transformation(init=_first_key)
def langevin_step(
    updates: Any,
    state: LangevinState,
    params: Any,
    learning_rate: NonNegative,
    key: Any,
    temperature: NonNegative = 1.0,
) -> tuple[Any, LangevinState]:
    """Descend with as much noise as makes the parameters a sample of the posterior: SGLD.

    ``u = -learning_rate * g + sqrt(2 * learning_rate * temperature) * noise``. The parameters
    then visit each place with a density of ``exp(-loss / temperature)``, up to an error of the
    order of ``learning_rate``.

    Args:
      learning_rate: the step's length; half of the paper's epsilon.
      key: PRNG key, or a seed.
      temperature: 1 where the loss is the negative log posterior, ``1 / n`` where it is its mean
        over ``n`` examples, 0 for gradient descent.

    State:
      rng_key: key of the next step's noise.

    Reference:
      Welling and Teh, Bayesian learning via stochastic gradient Langevin dynamics, ICML 2011,
      equation 4.

    >>> init, update = langevin_step(0.5, temperature=0.0, key=0)
    >>> update(jnp.array([2.0]), init(jnp.zeros(1)))[0]
    Array([-1.], dtype=float32)
    """
    rng_key, noise = _draw(state.rng_key, updates)
    deviation = trees.sqrt(2 * learning_rate * temperature)

    def leaf(g: Any, x: Any) -> Any:
        return deviation * x - learning_rate * g

    return trees.map_leaves(leaf, updates, given=(noise,)), LangevinState(rng_key)


class PreconditionedLangevinState(NamedTuple):
    """State of :func:`preconditioned_langevin_step`."""

    rng_key: Any  # key, or its uint32 data: of the next step's noise
    nu: Any  # like params: average of squares
    nu_weight: jax.Array  # float[]: sum of the weights in nu


def _first_key_and_squares(params: Any, key: Any) -> PreconditionedLangevinState:
    nu, weight = trees.full_like_real(params, 0), trees.no_weight(params)
    return PreconditionedLangevinState(draws.random_key(key), nu, weight)


@transformation(init=_first_key_and_squares)
def preconditioned_langevin_step(
    updates: Any,
    state: PreconditionedLangevinState,
    params: Any,
    learning_rate: NonNegative,
    key: Any,
    temperature: NonNegative = 1.0,
    decay: Decay = 0.99,
    eps: Positive = 1e-5,
) -> tuple[Any, PreconditionedLangevinState]:
    """Langevin dynamics with a learning rate of each parameter's own, as in RMSProp: pSGLD.

    ``nu = decay * nu + (1 - decay) * g**2``, debiased, ``rate = learning_rate / (sqrt(nu) +
    eps)``, ``u = -rate * g + sqrt(2 * rate * temperature) * noise``.

    Args:
      learning_rate: the step's length before scaling; half of the paper's epsilon.
      key: PRNG key, or a seed.
      temperature: see :func:`langevin_step`.
      decay: weight of the past in the average, in [0, 1).
      eps: added to the root, in units of the updates; the paper's lambda.

    State:
      rng_key: key of the next step's noise.
      nu: the average of squares, of the parameters' shapes.
      nu_weight: the sum of its weights, a scalar.

    Reference:
      Li et al., Preconditioned stochastic gradient Langevin dynamics
      (https://arxiv.org/abs/1512.07666), algorithm 1, defaults of ``decay`` and ``eps`` included;
      with their Gamma left out, as in their experiments, and the average debiased.

    >>> init, update = preconditioned_langevin_step(0.5, temperature=0.0, eps=2.0, key=0)
    >>> update(jnp.array([2.0]), init(jnp.zeros(1)))[0]
    Array([-0.25], dtype=float32)
    """
    rng_key, noise = _draw(state.rng_key, updates)
    nu_weight = trees.average(1, state.nu_weight, decay)
    debias, heat = 1 / nu_weight, 2 * temperature

    def leaf(g: Any, v: Any, x: Any) -> tuple:
        v = trees.average(trees.abs_sq(g), v, decay)
        rate = learning_rate / (trees.sqrt(v * debias) + eps)
        return trees.sqrt(heat * rate) * x - rate * g, v

    updates, nu = trees.map_leaves(leaf, updates, state.nu, given=(noise,))
    return updates, PreconditionedLangevinState(rng_key, nu, nu_weight)


class PerturbState(NamedTuple):
    """State of :func:`perturb_where_stationary`."""

    since: Any  # int32[]: steps since the last perturbation
    rng_key: Any  # key, or its uint32 data: of the next step's noise


def _never_perturbed(params: Any, key: Any) -> PerturbState:
    del params
    return PerturbState(jnp.full((), jnp.iinfo(jnp.int32).max, jnp.int32), draws.random_key(key))


@transformation(init=_never_perturbed)
def perturb_where_stationary(
    updates: Any,
    state: PerturbState,
    params: Any,
    radius: NonNegative,
    stationary_norm: NonNegative,
    key: Any,
    steps_between: Steps = 10,
) -> tuple[Any, PerturbState]:
    """Where the gradient is small, now and then leave in a random direction: escape from saddles.

    ``u = g + noise``, uniform in a ball of ``radius`` over all arrays together, where ``||g|| <=
    stationary_norm`` and the last such noise is at least ``steps_between`` steps ago; else
    ``u = g``. It stands first; the learning rate that follows multiplies the radius too.

    A step function of ``stationary_norm``, whose derivative is 0.

    Args:
      radius: of the ball, in units of the updates; the paper's radius over the learning rate.
      stationary_norm: largest norm of the updates that counts as small.
      key: PRNG key, or a seed.
      steps_between: how many steps the descent is given to leave a saddle, at least.

    State:
      since: steps since the last perturbation, an int32 scalar; its largest value before the first.
      rng_key: key of the next step's noise.

    Reference:
      Jin et al., How to escape saddle points efficiently (https://arxiv.org/abs/1703.00887),
      algorithm 2, without its stopping rule; the gradient is that before the perturbation, which
      needs no second one a step.

    >>> init, update = perturb_where_stationary(1.0, stationary_norm=0.1, key=0)
    >>> update(jnp.array([2.0]), init(jnp.zeros(1)))[0]
    Array([2.], dtype=float32)
    """
    rng_key, ball = jax.random.split(state.rng_key)
    small = trees.global_norm(updates) <= stationary_norm
    now = small & (state.since >= steps_between)
    factor, noise = _ball(ball, updates)
    factor = jnp.where(now, radius * factor, 0)
    updates = trees.map_leaves(lambda g, x: g + factor * x, updates, given=(noise,))
    since = jnp.where(now, 1, optax.safe_increment(state.since))
    return updates, PerturbState(since, rng_key)


def _draw(rng_key: Any, updates: Any) -> tuple[Any, Any]:
    """The next key, and normal noise in the updates' shapes."""
    rng_key, sample = jax.random.split(rng_key)
    return rng_key, draws.normal_like(sample, updates)


def _ball(key: Any, updates: Any) -> tuple[jax.Array, Any]:
    """A factor and noise whose product is uniform in the unit ball of all coordinates together."""
    direction, distance = jax.random.split(key)
    noise = draws.normal_like(direction, updates)
    size = sum(x.size for x in jax.tree.leaves(noise))
    # In as many dimensions a radius r has volume r**size.
    radius = jax.random.uniform(distance, dtype=trees.compute_dtype(updates)) ** (1 / max(size, 1))
    norm = trees.global_norm(noise)
    return radius / jnp.where(norm > 0, norm, 1), noise
