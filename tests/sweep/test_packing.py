import numpy as np
import pytest

from gdjax.sweep.packing import Shape, pack


def packed(trials, segment=None, seeds=1, shape=None):
    trials = np.asarray(trials)
    segment = np.zeros(len(trials), int) if segment is None else np.asarray(segment)
    return pack(trials, segment, seeds, shape)


def rows(job):
    """What a chunk really holds, its seed and segment; None for a chunk that holds nothing."""
    return [
        (job.trials[i][job.real[i]].tolist(), int(job.seed[i]), int(job.segment[i]))
        if job.real[i].any()
        else None
        for i in range(len(job.trials))
    ]


def test_seeds_stand_in_chunks_of_their_own():
    (job,) = packed([3, 7, 9], seeds=2, shape=Shape(devices=1, chunks=4, width=2))
    assert rows(job) == [([3, 7], 0, 0), ([3, 7], 1, 0), ([9], 0, 0), ([9], 1, 0)]
    assert job.trials.tolist() == [[3, 7], [3, 7], [9, 9], [9, 9]]
    assert job.real.tolist() == [[True, True], [True, True], [True, False], [True, False]]


def test_devices_share_the_chunks_evenly():
    """Of 5 chunks on 3 devices with room for 2 each, the last device has one."""
    (job,) = packed(range(5), shape=Shape(devices=3, chunks=2, width=1))
    assert rows(job) == [([0], 0, 0), ([3], 0, 0), ([1], 0, 0), ([4], 0, 0), ([2], 0, 0), None]
    assert job.busy.tolist() == [True, True, True, True, True, False]


def test_three_seeds_on_two_devices():
    (job,) = packed([4, 5], seeds=3, shape=Shape(devices=2, chunks=2, width=2))
    assert rows(job) == [([4, 5], 0, 0), ([4, 5], 2, 0), ([4, 5], 1, 0), None]


def test_trials_at_different_segments_stand_in_different_chunks():
    (job,) = packed([1, 2, 3, 4], [1, 0, 1, 0], shape=Shape(devices=1, chunks=3, width=4))
    assert rows(job) == [([2, 4], 0, 0), ([1, 3], 0, 1), None]


def test_what_does_not_fit_makes_another_job():
    jobs = packed(range(7), seeds=2, shape=Shape(devices=1, chunks=5, width=2))
    assert [rows(job) for job in jobs] == [
        [([0, 1], 0, 0), ([0, 1], 1, 0), ([2, 3], 0, 0), ([2, 3], 1, 0), None],
        [([4, 5], 0, 0), ([4, 5], 1, 0), ([6], 0, 0), ([6], 1, 0), None],
    ]


def test_one_trial():
    (job,) = packed([5], [8], shape=Shape(devices=1, chunks=1, width=1))
    assert rows(job) == [([5], 0, 8)]


def test_none_make_no_job():
    assert packed([], shape=Shape(devices=1, chunks=1, width=1)) == []


def test_the_order_in_which_trials_are_given_does_not_matter():
    shape = Shape(devices=2, chunks=1, width=2)
    (a,), (b,) = packed([4, 1, 2], [0, 1, 0], shape=shape), packed([2, 4, 1], [0, 0, 1], 1, shape)
    assert rows(a) == rows(b) == [([2, 4], 0, 0), ([1], 0, 1)]


@pytest.mark.parametrize("case", range(60))
def test_every_run_is_made_once_and_a_trial_has_all_its_seeds_in_one_job(case):
    generator = np.random.default_rng(case)
    seeds, devices, width = (int(n) for n in generator.integers(1, (5, 5, 7)))
    chunks = -(-seeds // devices) + int(generator.integers(0, 4))
    trials = generator.choice(100, int(generator.integers(1, 60)), replace=False)
    segment = generator.integers(0, generator.choice([1, 4]), len(trials))
    jobs = pack(trials, segment, seeds, Shape(devices, chunks, width))
    made = []
    for job in jobs:
        assert job.trials.shape == job.real.shape == (devices * chunks, width)
        chunk, place = np.nonzero(job.real)
        of_job = job.trials[chunk, place]
        made += zip(of_job, job.seed[chunk], job.segment[chunk], strict=True)
        assert (np.unique(of_job, return_counts=True)[1] == seeds).all()
        assert (job.real[:, 1:] <= job.real[:, :-1]).all(), "what is real stands first"
        assert np.isin(job.trials, trials).all(), "chunks are filled with trials of the family"
        busy = job.busy.reshape(devices, chunks).sum(axis=1)
        assert busy.max() - busy.min() <= 1
    wanted = zip(trials, segment, strict=True)
    assert sorted(made) == sorted((t, seed, s) for t, s in wanted for seed in range(seeds))


SHAPE = Shape(devices=1, chunks=3, width=2)


@pytest.mark.parametrize(
    ("trials", "segment", "continues"),
    [
        ([1, 2, 3], [1, 1, 1], True),
        ([1, 2, 3], [0, 0, 0], False),  # the same segment again
        ([1, 2, 3], [2, 2, 2], False),  # one was left out
        ([1, 2, 3], [1, 1, 2], False),
        ([1, 2], [1, 1], False),  # a chunk is free now
        ([1, 2, 4], [1, 1, 1], False),
        ([2, 1, 3], [1, 1, 1], True),
        ([1, 2, 3, 4], [1, 1, 1, 1], False),
    ],
)
def test_a_job_continues_another_where_each_run_stays_in_its_place(trials, segment, continues):
    (before,) = packed([1, 2, 3], shape=SHAPE)
    (job,) = packed(trials, segment, shape=SHAPE)
    assert job.continues(before) is continues


def test_filling_is_no_run_to_continue():
    """The last chunk was filled up with trial 3, and holds it twice for real in no other job."""
    (before,) = packed([3], shape=Shape(1, 1, 2))
    (job,) = packed([3], [1], shape=Shape(1, 1, 2))
    assert job.continues(before)
    assert not job._replace(real=np.ones((1, 2), bool)).continues(before)


def test_a_job_of_another_shape_does_not_continue():
    (before,) = packed([1, 2], shape=Shape(1, 1, 2))
    (job,) = packed([1, 2], [1, 1], shape=Shape(2, 1, 2))
    assert not job.continues(before)


def test_continuing_looks_at_busy_chunks_only():
    (before,) = packed([1], [4], shape=SHAPE)
    (job,) = packed([1], [5], shape=SHAPE)
    assert job.continues(before)
