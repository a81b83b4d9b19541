import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidValue, SweepResult
from gdjax.sweep.table import Status
from tests.synthetic import copied, synthetic

SPACE = {"learning_rate": [0.5, 0.25, 4.0], "decay": [0.0, 0.5]}


def momentum(learning_rate, decay):
    return gdjax.sgd(learning_rate, decay)


@pytest.fixture(scope="module")
def result(noisy):
    families = {"momentum": momentum, "adam": gdjax.adam}
    return gdjax.sweep(noisy, families, SPACE, seeds=2, steps=60, segment=20)


def test_final_is_the_last_evaluation_or_the_mean_of_the_last_segment(result):
    done = result.status == Status.DONE
    last = result.evaluations["size"][..., -1]
    np.testing.assert_array_equal(result.final("size")[done], last[done])
    mean = result.traces["loss"][..., -20:].mean(axis=-1, dtype=np.float64)
    np.testing.assert_array_equal(result.final("loss")[done], mean[done])
    assert np.isnan(result.final("size")[~done]).all()
    assert 0 < done.sum() < done.size


def test_best_is_the_least_mean_over_seeds(result):
    means = result.final("size").mean(axis=1)
    best = result.best()
    assert best.trial == np.nanargmin(means)
    assert best.by == "size"
    values = result.final("size")[best.trial]
    assert best.mean == pytest.approx(values.mean())
    assert best.spread == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert best.family == result.family[best.trial]
    assert best.settings["learning_rate"] == result.settings["learning_rate"][best.trial]
    assert ("decay" in best.settings) == (best.family == "momentum")


def test_ranking_puts_diverged_trials_last(result):
    diverged = (result.status == Status.DIVERGED).any(axis=1)
    order = result.ranking()
    assert diverged[order].tolist() == sorted(diverged)
    assert result.ranking("size", "max")[0] == np.nanargmax(result.final("size").mean(axis=1))


def test_unknown_metrics_and_trials_are_told(result):
    with pytest.raises(InvalidValue, match="no metric 'siz': did you mean size"):
        result.best("siz")
    with pytest.raises(InvalidValue, match="there is no trial 9; they are 0 to 8"):
        result.rerun(9)
    with pytest.raises(InvalidValue, match="there is no trial -1"):
        result.rerun(-1)


def test_there_is_no_best_where_all_diverged(noisy):
    result = gdjax.sweep(noisy, gdjax.sgd, {"learning_rate": [1e30]}, steps=4)
    assert result.status.tolist() == [[Status.DIVERGED]]
    with pytest.raises(InvalidValue, match="there is no best trial"):
        result.best()


def test_xarray_is_labelled(result):
    data = result.to_xarray()
    assert data["loss"].dims == ("trial", "seed", "step")
    assert data["size"].dims == ("trial", "seed", "evaluation_step")
    assert data["evaluation_step"].values.tolist() == [20, 40, 60]
    picked = data.where((data.family == "adam") & (data.learning_rate == 0.25), drop=True)
    np.testing.assert_array_equal(picked["loss"].values[0], result.traces["loss"][7])
    assert data.attrs["objective"] == "size"


def test_pandas_is_tidy(result):
    table = result.to_pandas()
    assert len(table) == 18
    row = table[(table.trial == 7) & (table.seed == 1)].iloc[0]
    assert row.family == "adam"
    assert row.learning_rate == 0.25
    assert np.isnan(row.decay)
    assert row["size"] == result.final("size")[7, 1]
    assert set(table.status) == {"done", "diverged"}
    assert (table[table.status == "diverged"].diverged_at >= 0).all()


def test_save_and_load_keep_every_bit_and_reconnect_reruns(result, noisy, tmp_path):
    result.save(tmp_path / "new" / "run")
    loaded = SweepResult.load(tmp_path / "new" / "run")
    assert loaded.attributes == result.attributes
    np.testing.assert_array_equal(loaded.family, result.family)
    for name in ("status", "diverged_at", "reason", "evaluation_steps"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(result, name))
    for name in ("settings", "traces", "evaluations"):
        mine, theirs = getattr(result, name), getattr(loaded, name)
        assert list(mine) == list(theirs)
        for key in mine:
            np.testing.assert_array_equal(mine[key], theirs[key])
            assert mine[key].dtype == theirs[key].dtype
    assert loaded.best() == result.best()
    with pytest.raises(InvalidValue, match=r"gdjax\.reconnect"):
        loaded.rerun(0)
    again = gdjax.reconnect(loaded, noisy, {"momentum": momentum, "adam": gdjax.adam}).rerun(7)
    np.testing.assert_array_equal(again.traces["loss"], result.traces["loss"][7])
    with pytest.raises(InvalidValue, match="has a family 'momentum'"):
        gdjax.reconnect(loaded, noisy, gdjax.adam)


def test_the_file_holds_no_pickle(result, tmp_path):
    content = result.save(tmp_path).read_bytes()
    assert content[:8] == b"\x89HDF\r\n\x1a\n"
    assert b"pickle" not in content
    assert not list(tmp_path.glob(".*"))


def test_what_is_not_a_sweep_is_told(result, tmp_path):
    with pytest.raises(InvalidValue, match=r"holds no sweep: there is no results\.nc"):
        SweepResult.load(tmp_path)
    result.save(tmp_path)
    with pytest.raises(InvalidValue, match="already holds a sweep"):
        result.save(tmp_path)
    (tmp_path / "results.nc").write_bytes(b"half a file")
    with pytest.raises(InvalidValue, match="cannot be read"):
        SweepResult.load(tmp_path)


def test_a_run_whose_last_update_breaks_it_has_diverged(halving):
    """A start of -2 leaves float32 by a step of 3e38, a start of 1 does not."""
    space = {"learning_rate": [3e38, 0.5]}
    result = gdjax.sweep(halving, gdjax.sgd, space, steps=1, seeds=2, key=3)
    breaks = result.traces["loss"][0, :, 0] == 2
    assert breaks.sum() == 1
    assert (result.status[0] == np.where(breaks, Status.DIVERGED, Status.DONE)).all()
    assert result.diverged_at[0, breaks].tolist() == [1]
    assert result.reason[0, breaks].tolist() == ["a parameter is not finite"]
    assert (result.status[1] == Status.DONE).all()
    assert result.best().settings == {"learning_rate": 0.5}


def test_a_metric_that_is_not_finite_is_no_divergence_and_ranks_last(halving):
    def evaluate(params):
        return {"log": jnp.log(params)}

    task = dataclasses.replace(halving, evaluate=evaluate, objective="log")
    result = gdjax.sweep(task, gdjax.sgd, {"learning_rate": [1.0, 0.5]}, steps=1, key=1)
    assert (result.status == Status.DONE).all()
    assert result.evaluations["log"][0, 0, 0] == -np.inf
    assert result.ranking()[-1] == 0


def test_a_metric_of_the_segment_in_which_a_replaced_run_diverged_is_none():
    result = copied(synthetic({"b1": [0.1, 0.2]}, evaluations=0), {(0, 3): (1, {"b1": 0.3})})
    result.copied.replaced_at[0, 1, 3] = 15
    missing = [np.isnan(result.at("loss", i)).tolist() for i in range(4)]
    assert missing[1] == [[False, True], [False, False]]
    assert not np.any([missing[0], missing[2], missing[3]])
