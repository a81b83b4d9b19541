"""The benchmarks' harness, on fake clocks; and that each benchmark runs and reports."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from benchmarks import (
    arguments,
    convolutions,
    critical_batch,
    doctor,
    harness,
    many_trials,
    monitors,
    optimizer_step,
    range_finder,
    stopping,
    streams,
    sweep,
)
from benchmarks.harness import Quartiles
from gdjax.doctor import RULES


class Clock:
    """Advances by as much as a candidate says that it takes."""

    def __init__(self):
        self.now = 0.0
        self.calls = []

    def candidate(self, name, durations):
        durations = iter(durations)

        def run():
            self.calls.append(name)
            self.now += next(durations)

        return run

    def measure(self, candidate):
        return harness.seconds(candidate, clock=lambda: self.now)


def test_quartiles_are_linear_between_neighbours():
    assert harness.quartiles([4.0, 1.0, 3.0, 2.0]) == Quartiles(1.75, 2.5, 3.25)
    assert harness.quartiles([7.0]) == Quartiles(7.0, 7.0, 7.0)


def test_interleaved_leaves_out_the_first_call_and_takes_turns():
    clock = Clock()
    candidates = {
        "a": clock.candidate("a", [100.0, 1.0, 2.0, 3.0]),
        "b": clock.candidate("b", [100.0, 2.0, 8.0, 6.0]),
    }
    times = harness.interleaved(candidates, rounds=3, measure=clock.measure)
    assert {k: v.tolist() for k, v in times.items()} == {"a": [1, 2, 3], "b": [2, 8, 6]}
    assert clock.calls[:2] == ["a", "b"]
    rounds = [set(clock.calls[i : i + 2]) for i in (2, 4, 6)]
    assert rounds == [{"a", "b"}] * 3


def test_turns_are_fixed_and_each_candidate_comes_first_at_times():
    names = ["a", "b", "c"]
    orders = list(harness.turns(names, 20))
    assert orders == list(harness.turns(names, 20))
    assert all(sorted(order) == names for order in orders)
    assert {order[0] for order in orders} == set(names)


def test_ratios_are_of_the_same_round():
    times = {"a": np.array([1.0, 20.0, 3.0]), "b": np.array([2.0, 10.0, 3.0])}
    ratios = harness.ratios(times, "b")  # 0.5, 2 and 1: drift between rounds cancels
    assert ratios == {"a": Quartiles(0.75, 1.0, 1.5), "b": Quartiles(1.0, 1.0, 1.0)}


def test_program_costs_are_the_compilers():
    x = jnp.ones((64, 64))
    jitted = jax.jit(lambda x: x + 1)
    costs = harness.program_costs(jitted, x)
    assert costs.bytes_accessed == 2 * x.nbytes
    assert costs.flops == x.size
    assert costs.temporary_bytes == 0
    assert min(costs.trace_seconds, costs.lower_seconds, costs.compile_seconds) > 0
    again = harness.interleaved_costs({"a": (jitted, (x,))}, 2)["a"]
    assert again[3:-1] == costs[3:-1]
    assert again.compiled(x)[0, 0] == 2


def test_program_costs_where_the_backend_gives_none(monkeypatch):
    monkeypatch.setattr(jax.stages.Compiled, "cost_analysis", lambda self: None)
    monkeypatch.setattr(jax.stages.Compiled, "memory_analysis", lambda self: None)
    costs = harness.program_costs(jax.jit(jnp.sin), jnp.ones(3))
    assert costs[3:-1] == (None, None, None)


def test_table_shows_what_is_missing_and_how_far_a_sample_spreads():
    rows = [{"name": "a", "run_seconds": Quartiles(1.0, 2.0, 3.5)}, {"name": "b", "flops": None}]
    assert harness.table(rows).splitlines() == [
        "             run",
        "name     seconds  flops",
        "----  ----------  -----",
        "   a  2 [1, 3.5]      -",
        "   b           -      -",
    ]


@pytest.mark.parametrize("argv", [["--rounds", "0"], ["--out", "no/such/directory/x.json"]])
def test_bad_arguments_are_refused_at_once(argv, capsys):
    with pytest.raises(SystemExit) as error:
        harness.main(sweep.BENCHMARK, argv)
    assert error.value.code == 2
    assert argv[0] in capsys.readouterr().err


def report(benchmark, argv, tmp_path, capsys):
    path = tmp_path / "report.json"
    harness.main(benchmark, [*argv, "--rounds", "2", "--quick", "--out", str(path)])
    content = json.loads(path.read_text())
    assert content["benchmark"] == benchmark.name
    assert content["arguments"]["rounds"] == 2
    assert {"jax", "jaxlib", "optax", "gdjax", "python", "device_count", "device_kind"} <= set(
        content["environment"]
    )
    assert capsys.readouterr().out.startswith(content["question"])
    return content["results"]


def test_optimizer_step(tmp_path, capsys, monkeypatch):
    tree = {"tiny": {"kernel": (8, 4), "bias": (4,)}}
    monkeypatch.setattr(optimizer_step, "shapes_by_name", lambda quick, large: tree)
    monkeypatch.setattr(optimizer_step, "BYTES_IN_A_ROUND", 1)
    argv = ["--optimizers", "sgd", "adam"]
    results = report(optimizer_step.BENCHMARK, argv, tmp_path, capsys)
    candidates = [(row["optimizer"], row["library"]) for row in results]
    libraries = ["optax", "gdjax", "gdjax as argument"]
    assert candidates == [(o, library) for o in ("sgd", "adam") for library in libraries]
    for row in results:
        assert row["bytes_accessed_per_parameter_byte"] >= 3
        assert row["step_time_ratio_to_optax"]["median"] > 0
        assert row["trace_seconds"] > 0


def test_the_transformer_has_200_leaves():
    shapes = optimizer_step.shapes_by_name(quick=False, large=False)
    assert "transformer of 200 leaves" in shapes


def test_sweep(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sweep, "PROBLEMS", (sweep.Problem((2, 4, 2), 4, 8),))
    results = report(
        sweep.BENCHMARK, ["--trials", "2", "--widths", "2", "--devices", "1"], tmp_path, capsys
    )
    names = [row["candidate"] for row in results]
    assert names == ["sequential", "vmap", "gdjax", "gdjax, width 2"]
    for row in results:
        assert row["trials_per_second"]["median"] > 0
        assert row["compile_seconds"] > 0
        assert row["largest_loss_difference"] < 1e-3


def test_stopping(tmp_path, capsys):
    argv = ["--trials", "4", "--seeds", "2", "--steps", "8", "--devices", "1"]
    none, halving = report(stopping.BENCHMARK, argv, tmp_path, capsys)
    assert none["steps_share"]["median"] == 1
    assert halving["steps_share"]["median"] < 0.6
    assert none["difference_to_none"]["median"] == 0


def test_range_finder(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(range_finder, "RATES", np.array([1e-4, 1e-3, 1.0]))
    argv = ["--pairs", "rosenbrock, momentum", "--seeds", "2", "--steps", "40", "--devices", "1"]
    *rounds, hits = report(range_finder.BENCHMARK, argv, tmp_path, capsys)
    assert [row["pair"] for row in rounds] == ["rosenbrock, momentum"] * 2
    for row in rounds:
        np.testing.assert_allclose(row["ratio"], row["suggestion"] / row["best_rate"])
        assert row["best_rate"] < 1
        assert row["spread"] > 0
    near = sum(1 / 3 <= row["ratio"] <= 3 for row in rounds)
    assert (hits["ratio"], sum(row["near"] for row in rounds)) == (f"{near} of 2", near)


def test_doctor(tmp_path, capsys):
    argv = ["--patients", "quadratic of 1e4", "quadratic of 5"]
    ill, sound, counted, _, *levels, hits = report(doctor.BENCHMARK, argv, tmp_path, capsys)
    assert ill["found"] == ill["planted"] == "ill-conditioning"
    assert sound["found"] == sound["planted"] == "-"
    assert counted == {"run": "all 1", "planted": "ill-conditioning", "ill-conditioning": 1}
    assert {row["run"] for row in levels} == {rule.name for rule in RULES}
    assert max(row["sound_at_most"] for row in levels) < 0.5
    assert hits == {"run": "all", "named": "1 of 1", "quiet": "1 of 1"}


def test_monitors(tmp_path, capsys, monkeypatch):
    timed, interleaved = [], harness.interleaved

    def counted(candidates, rounds):
        programs = {name: run.func.lower(*run.args).compile() for name, run in candidates.items()}
        timed.append({name: of.cost_analysis()["flops"] for name, of in programs.items()})
        return interleaved(candidates, rounds)

    monkeypatch.setattr(monitors, "SETS", {k: monitors.SETS[k] for k in ("economy", "full")})
    monkeypatch.setattr(harness, "interleaved", counted)
    results = report(monitors.BENCHMARK, ["--optimizers", "sgd", "--steps", "2"], tmp_path, capsys)
    assert [row["monitors"] for row in results] == ["none", "none, again", "economy", "full"] * 2
    assert results[0]["over_plain"]["median"] == 1
    often, rarely = (
        [
            (row["by_look"]["median"] - 1) * row["every"] * at[0]["milliseconds"]["median"]
            for row in at
        ]
        for at in (results[:4], results[4:])
    )
    np.testing.assert_allclose(often, rarely, rtol=1e-6, atol=1e-9)  # milliseconds of a look
    assert len(timed) == 2
    for flops in timed:
        assert flops["full"] > flops["economy"] > flops["none"]


def test_critical_batch(tmp_path, capsys, monkeypatch):
    problem = critical_batch.PROBLEMS["digits to 0.5"]._replace(target=1.5, low=0.02, high=0.03)
    monkeypatch.setattr(critical_batch, "PROBLEMS", {"digits to 0.5": problem})
    argv = ["--problems", "digits to 0.5", "--batches", "128", "512", "1024", "--seeds", "2"]
    (row,) = report(critical_batch.BENCHMARK, [*argv, "--devices", "1"], tmp_path, capsys)
    assert len(row["updates"].split()) == 3
    assert row["measured_at"] == 512
    np.testing.assert_allclose(row["ratio"], row["noise_scale"] / row["critical"])


def test_many_trials(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(many_trials, "STEPS", 4)
    monkeypatch.setattr(many_trials, "SEGMENT", 2)
    (row,) = report(many_trials.BENCHMARK, ["--trials", "5", "--devices", "1"], tmp_path, capsys)
    assert row["trials"] == 5
    assert row["sweep_over_loop"]["median"] > 0


def test_convolutions(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(convolutions, "SIZES", (((2, 3), 4),))
    argv = ["--trials", "2", "--steps", "2", "--devices", "1"]
    (row,) = report(convolutions.BENCHMARK, argv, tmp_path, capsys)
    assert (row["channels"], row["trials"]) == ("2 3", 2)
    assert row["jax_over_gdjax"]["median"] > 0


def test_streams(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(streams, "FILES", 3)
    argv = ["--trials", "2", "--steps", "4", "--devices", "1"]
    device, *read = report(streams.BENCHMARK, argv, tmp_path, capsys)
    assert [row["batches"] for row in read] == ["drawn by NumPy", "compressed files"]
    assert device["read_seconds"] == 0 < min(row["read_seconds"] for row in read)


def test_both_convolutions_train_alike():
    tasks = [convolutions.tasks((2, 3), 4)[name] for name in ("gdjax", "jax")]
    ours, theirs = (gdjax.train(task, gdjax.adam(0.01), 3, 0).traces["loss"] for task in tasks)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_arguments(tmp_path, capsys):
    document = tmp_path / "arguments.md"
    argv = ["--factories", "scale_by_adam", "apply_every", "--markdown", str(document)]
    results = report(arguments.BENCHMARK, argv, tmp_path, capsys)
    rows = {(row["factory"], row["argument"]): row for row in results}
    row = rows["optax.scale_by_adam", "eps_root"]
    assert (row["Optax"], row["gdjax.lift"], row["gdjax"]) == ("jv-", "jv-", "jvd")
    assert rows["optax.apply_every", "k"]["Optax"] == "jv"
    assert "| optax.scale_by_adam | b1 | jv- | jv- | jvd |" in document.read_text()


def test_losses_that_differ_are_refused():
    losses = {"sequential": np.ones((2, 20)), "vmap": np.ones((2, 20))}
    assert sweep.check_losses(losses) == 0
    with pytest.raises(AssertionError, match="vmap trains differently"):
        sweep.check_losses({**losses, "vmap": np.full((2, 20), 1.1)})
