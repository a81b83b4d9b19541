"""Each rule on runs made by hand: its sign is there, or not, or nothing is told."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax.doctor import RULES, examine, settings
from tests.doctor.cases import SEEDS, case, raised, series

JUMPING = raised(series(1.0, 1.0), 40, 20.0)
DIVERGED = np.where(np.arange(64) < 40, series(2.0, 1.0), np.nan)
STEADY, FALLING = series(1.0, 1.0), 10 ** series(0.0, -9.0)
NOT_FALLING = series(2.0, 2.0)
EQUAL = {"gradient_norm": STEADY}
NOISE = np.random.default_rng(0).normal(size=STEADY.shape)

PRESENT = {
    "misses_what_slower_runs_reach": [
        case(loss=series(2.0, 1.8), rates={0.1: series(2.0, 1.0)}),
        case(loss=series(2.0, np.nan), rates={0.1: series(2.0, 1.0)}),
    ],
    "misses_what_faster_runs_reach": [
        case(loss=series(2.0, 1.8), rates={10.0: series(2.0, 1.0), 100.0: series(2.0, np.nan)}),
        case(loss=series(2.0, 1.8), rates={10.0: series(2.0, 99.0, 1.0, 1.0)}),
    ],
    "misses_what_a_warm_up_reaches": [case(loss=series(2.0, 3.0), warmed=series(2.0, 1.0))],
    "overshoots": [case(loss=NOT_FALLING, seen={"overshoot": series(1.5, 1.5)})],
    "diverges": [
        case(loss=DIVERGED),
        case(loss=DIVERGED, rates={0.3: DIVERGED, 10.0: DIVERGED}),
        case(loss=np.concatenate([DIVERGED[:1], STEADY[1:]])),
    ],
    "hardly_moves": [case(seen=EQUAL | {"update_ratio": series(1e-6, 1e-6)})],
    "stands_still": [case(seen={"gradient_norm": STEADY, "update_ratio": 0 * STEADY})],
    "curves_elsewhere": [
        case(seen=EQUAL | {"sharpness": series(1e3, 1e3), "gradient_curvature": STEADY}),
        case(seen=EQUAL | {"sharpness": series(1e3, 1e3), "gradient_curvature": -STEADY}),
    ],
    "ends_above_the_best": [
        case(
            loss=np.concatenate([series(2.0, 1.0, 1.0)[:3], series(2.0, 1.5, 1.5)[:1]]),
            seen={"gradient_norm": FALLING},
        ),
    ],
    "curves_down": [
        case(loss=NOT_FALLING, seen={"sharpness": STEADY, "lowest_curvature": -STEADY / 2}),
        case(loss=NOT_FALLING, seen={"sharpness": STEADY / 9, "lowest_curvature": -STEADY}),
    ],
    "differs_by_layer": [case(seen={"gradient_norm.0": STEADY / 1e6, "gradient_norm.1": STEADY})],
    "units_are_dead": [case(seen={"dead_units": series(0.1, 0.9)})],
    "units_are_saturated": [case(seen={"saturated_units": series(0.1, 0.9)})],
    "underflows": [case(seen={"underflow": series(0.9, 0.1)})],
    "spikes": [
        case(seen={"gradient_norm": JUMPING}),
        case(
            seen={"gradient_norm": JUMPING},
            norms={0.1: raised(STEADY, 30, 20.0), 0.01: STEADY},
        ),
    ],
    "diverges_at_any_rate": [case(loss=DIVERGED, rates={0.01: DIVERGED, 10.0: DIVERGED})],
    "examples_stand_out": [
        case(seen={"example_norm_max": 50 * STEADY, "example_norm_median": STEADY})
    ],
    "turns_back": [
        case(seen={"heldout": series(2.0, 1.0, 1.5)}, objective="heldout"),
        case(seen={"accuracy": series(0.0, 0.9, 0.7)}, objective="accuracy", mode="max"),
        case(seen={"heldout": series(1.0, 1.5)}, objective="heldout"),  # no better than at first
        case(seen={"right": series(0, 9, 3).astype(np.uint8)}, objective="right", mode="max"),
        case(seen={"right": series(0, 9, 3) > 4}, objective="right", mode="max"),
    ],
    "noise_over_batch": [
        case(seen={"gradient_variance": 99 * STEADY, "gradient_signal": STEADY}, batch_size=4),
        case(seen={"gradient_variance": 50 * STEADY, "gradient_signal": -STEADY}, batch_size=4),
    ],
    "batch_over_noise": [
        case(seen={"gradient_variance": 4 * STEADY, "gradient_signal": STEADY}, batch_size=64),
    ],
}
ABSENT = {
    "misses_what_slower_runs_reach": [
        case(rates={0.1: series(2.0, 0.9)}),
        case(loss=series(2.0, np.nan), rates={0.1: series(2.0, np.nan)}),
        case(loss=series(2.0, 3.0), rates={0.1: series(2.0, 2.5)}),
        case(loss=series(2.0, 2.0), rates={0.1: series(2.0, 1.9999)}),
        case(loss=raised(series(2.0, 1.0), -2, np.nan), rates={0.1: series(2.0, 1.0)}),  # skipped
    ],
    "misses_what_faster_runs_reach": [case(rates={10.0: series(2.0, np.nan)})],
    "misses_what_a_warm_up_reaches": [case(warmed=series(2.0, 1.0)), case(warmed=NOT_FALLING)],
    "overshoots": [case(seen={"overshoot": series(1.5, 1.5)})],
    "diverges": [
        case(loss=DIVERGED, rates={0.3: series(2.0, 1.0)}),  # another rule tells
        case(loss=series(np.nan, np.nan)),  # before any update
    ],
    "hardly_moves": [
        case(seen={"update_ratio": series(1e-6, 1e-6), "gradient_norm": FALLING}),
        case(seen=EQUAL | {"update_ratio": series(1e-3, 1e-3)}),
        case(seen={"update_ratio": 0 * STEADY, "gradient_norm": 0 * STEADY}),  # at a minimum
        case(seen=EQUAL | {"update_ratio": 0 * STEADY}),  # what is 0 is not multiplied
    ],
    "stands_still": [
        case(seen={"gradient_norm": 0 * STEADY, "update_ratio": 0 * STEADY}),  # at a minimum
        case(seen={"gradient_norm": STEADY * np.nan, "update_ratio": 0 * STEADY}),  # skipped
        case(seen={"gradient_norm": STEADY, "update_ratio": raised(0 * STEADY, 3, 0.1)}),
    ],
    "curves_elsewhere": [
        case(seen=EQUAL | {"sharpness": STEADY, "gradient_curvature": STEADY}),
        case(
            seen={"gradient_norm": FALLING, "sharpness": 1e3 * STEADY, "gradient_curvature": STEADY}
        ),
    ],
    "ends_above_the_best": [
        case(seen={"gradient_norm": FALLING}),
        case(loss=np.arange(1.0, 5)[:, None] * series(1.0, 0.0, 0.0), seen=EQUAL),
        case(
            loss=np.arange(1.0, 5)[:, None] * STEADY,
            seen={"gradient_norm": raised(STEADY, 40, 200.0)},
        ),
        case(  # one diverged
            loss=np.concatenate([series(2.0, 1.0)[:3], series(2.0, np.nan)[:1]]),
            seen={"gradient_norm": np.concatenate([FALLING[:3], series(1.0, np.nan)[:1]])},
        ),
    ],
    "curves_down": [case(seen={"sharpness": STEADY, "lowest_curvature": -STEADY / 2})],
    "differs_by_layer": [
        case(seen={"gradient_norm.0": STEADY / 10, "gradient_norm.1": STEADY}),
        case(seen={"gradient_norm.0": 0 * STEADY, "gradient_norm.1": STEADY}),  # it is not used
        case(seen={"gradient_norm.0": STEADY, "gradient_norm.1": np.inf * STEADY}),
    ],
    "units_are_dead": [case(seen={"dead_units": series(0.9, 0.1)})],
    "units_are_saturated": [case(seen={"saturated_units": series(0.9, 0.1)})],
    "underflows": [case(seen={"underflow": series(0.0, 0.9)})],
    "spikes": [
        case(seen={"gradient_norm": series(1.0, 1.0, 30.0, 30.0)}),  # it stays
        case(seen={"gradient_norm": JUMPING}, norms={0.1: STEADY}),
        case(seen={"gradient_norm": raised(STEADY, 40, np.inf)}),  # skipped, as by a loss scale
        case(seen={"gradient_norm": JUMPING, "clipped": JUMPING - 1}),
    ],
    "diverges_at_any_rate": [
        case(loss=DIVERGED, rates={0.01: series(2.0, 1.0)}),
        case(rates={0.01: DIVERGED}),
        case(loss=raised(series(2.0, 1.0), 40, np.nan), rates={0.01: DIVERGED}),  # it went on
    ],
    "examples_stand_out": [
        case(seen={"example_norm_max": series(2.0, 99.0), "example_norm_median": STEADY}),
        case(seen={"example_norm_max": STEADY, "example_norm_median": 0 * STEADY}),
        case(seen={"example_norm_max": STEADY[:, :1] * 50, "example_norm_median": STEADY[:, :1]}),
    ],
    "turns_back": [
        case(seen={"heldout": series(2.0, 1.0)}, objective="heldout"),
        case(seen={"heldout": NOISE}, objective="heldout"),
        case(
            loss=series(2.0, 1.0, 1.9),  # what is trained goes wrong as well
            seen={"heldout": series(2.0, 1.0, 1.5)},
            objective="heldout",
        ),
    ],
    "noise_over_batch": [
        case(seen={"gradient_variance": 50 * STEADY, "gradient_signal": STEADY}, batch_size=32),
        case(seen={"gradient_variance": STEADY * np.nan, "gradient_signal": STEADY}, batch_size=4),
    ],
    "batch_over_noise": [
        case(seen={"gradient_variance": 50 * STEADY, "gradient_signal": STEADY}, batch_size=64),
    ],
}
OF_SWEEPS = {"lies_at_the_edge", "has_one_seed"}
CASES = [
    pytest.param(name, made, is_present, id=f"{name}-{is_present}-{i}")
    for is_present, of in ((True, PRESENT), (False, ABSENT))
    for name, several in of.items()
    for i, made in enumerate(several)
]


def named(name):
    return next(rule for rule in RULES if rule.name == name)


def test_each_rule_has_its_cases():
    names = {rule.name for rule in RULES}
    assert names == PRESENT.keys() | OF_SWEEPS == ABSENT.keys() | OF_SWEEPS


@pytest.mark.parametrize(("name", "made", "is_present"), CASES)
def test_a_rule_tells_what_is_there(name, made, is_present):
    rule = named(name)
    with np.errstate(all="ignore"):
        numbers = rule.measure(made)
    assert numbers.shape == (SEEDS,)
    finding = rule.find(numbers, made)
    assert (finding is not None) == is_present
    if finding:
        assert finding.number >= rule.threshold
        compile(finding.remedy, "remedy", "exec")


@pytest.mark.parametrize("name", sorted(PRESENT))
def test_a_rule_tells_nothing_of_what_was_not_measured(name):
    assert named(name).measure(case()) is None


def test_numbers_by_hand():
    run = case(loss=series(2.0, 1.8, 1.8), rates={0.1: series(2.0, 1.0, 1.0)})
    (finding,) = examine(run).findings
    assert finding.number == pytest.approx(0.8)  # of a fall by 1 it makes 0.2
    assert finding.confidence == 1
    assert "gdjax.scale(0.1)" in finding.remedy


def test_what_never_improved_has_turned_back_by_all_its_way():
    (finding,) = examine(case(seen={"heldout": series(1.0, 1.5)}, objective="heldout")).findings
    assert finding.number == 1


def test_of_one_look_is_not_told_whether_gradients_shrink():
    seen = {"gradient_norm": STEADY[:, :1], "update_ratio": 0 * STEADY[:, :1]}
    assert named("hardly_moves").measure(case(seen=seen)) is None


def test_a_smaller_batch_is_no_empty_one():
    seen = {"gradient_variance": STEADY / 9, "gradient_signal": STEADY}
    (finding,) = examine(case(seen=seen, batch_size=64)).findings
    assert finding.remedy.startswith("batch_size = 1 ")


def test_of_runs_that_are_not_finite_nothing_is_made_up():
    nothing = series(np.nan, np.nan)
    names = {rule.measure.__name__: PRESENT[rule.measure.__name__][0].seen for rule in RULES[:-2]}
    seen = {name: nothing for of in names.values() for name in of}
    diagnosis = examine(
        case(loss=nothing, seen=seen, rates={0.1: nothing}, warmed=nothing, batch_size=8)
    )
    assert diagnosis.challenges == ()
    assert diagnosis.diverged == SEEDS
    assert "of 4 runs of 64 updates, of which 4 diverged" in str(diagnosis)


@pytest.mark.parametrize(
    ("name", "value", "room"),
    [
        ("learning_rate", 0.9, gdjax.LogUniform(0.03, 27)),
        ("b2", 0.999, [0.998, 0.999, 0.9999]),  # a decay
        ("every_k", np.int64(2), gdjax.Integer(1, 8)),
        ("shift", -2.0, gdjax.Uniform(-3, -1)),
    ],
)
def test_room_around_a_value(name, value, room):
    assert eval(settings.around(name, value)) == room


def test_a_sign_counts_where_enough_seeds_show_it():
    rule, run = named("units_are_dead"), case()
    assert rule.find(np.array([0.9, 0.9, 0.1, np.nan]), run).confidence == 0.5
    assert rule.find(np.array([0.9, 0.1, 0.1, np.nan]), run) is None
    often = named("spikes")
    run = case(seen=EQUAL)
    assert often.find(np.array([20.0, 1.0, 1.0, 1.0]), run).confidence == 0.25


def test_what_is_said():
    said = str(examine(case(seen={"dead_units": series(0.9, 0.9)})))
    assert said.startswith("vanishing gradients (in 100% of the seeds)\n  0.9, threshold 0.5: ")
    assert "not told by what was measured: " in said
    assert str(examine(case(seen={"dead_units": 0 * STEADY}))).startswith("nothing found\n")


REMEDIES = {
    rule.name: rule.find(np.full(SEEDS, 2 * rule.threshold), made)
    for rule in RULES
    if rule.name in PRESENT
    for made in PRESENT[rule.name][:1]
}


def draw(key, step):
    x = jax.random.normal(key, (8, 3))
    return {"x": x, "y": x.sum(axis=1)}


def loss(params, batch, key):
    return jnp.mean((batch["x"] @ params - batch["y"]) ** 2)


@pytest.mark.parametrize("name", sorted(REMEDIES))
def test_a_remedy_can_be_pasted(name):
    task = gdjax.Task(lambda key: jnp.zeros(3), loss, draw)
    pasted = {
        "gdjax": gdjax,
        "jax": jax,
        "task": task,
        "optimizer": gdjax.sgd(0.1),
        "key": jax.random.key(0),
        "shape": (4, 4),
    }
    exec(REMEDIES[name].remedy, pasted)
    result = gdjax.train(task, pasted["optimizer"], 2, key=0)
    assert np.isfinite(result.traces["loss"]).all()
