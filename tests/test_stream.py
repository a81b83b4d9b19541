"""What can be a stream, what it gives, and what is said of what cannot."""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest

import gdjax
from gdjax import InvalidType, InvalidValue, Stream


class Loader:
    """What can be iterated over again and again."""

    def __iter__(self):
        return iter([1.0, 2.0, 3.0])


class Sequence:
    """What gives any batch."""

    def __len__(self):
        return 3

    def __getitem__(self, number):
        return [1.0, 2.0, 3.0][number]


@pytest.mark.parametrize(
    "batches",
    [
        Sequence(),
        [1.0, 2.0, 3.0],
        (1.0, 2.0, 3.0),
        np.array([1.0, 2.0, 3.0]),
        jnp.array([1.0, 2.0, 3.0]),
        Loader(),
        lambda: iter([1.0, 2.0, 3.0]),
        lambda: [1.0, 2.0, 3.0],
        Loader,
        Sequence,
    ],
)
@pytest.mark.parametrize("first", [0, 2, 7])
def test_it_gives_batches_from_any_one_on(batches, first):
    read = list(itertools.islice(Stream(batches).read((), first), 5))
    assert read == [(first + i) % 3 + 1 for i in range(5)]
    assert all(isinstance(x, np.ndarray) and x.dtype == np.float32 for x in read)


def test_a_sequence_is_read_where_it_is_needed_only():
    read = []

    class Lazy:
        def __len__(self):
            return 100

        def __getitem__(self, number):
            read.append(number)
            return {"x": np.full(2, number)}

    batches = Stream(Lazy()).read((), 198)
    assert [next(batches)["x"].tolist() for _ in range(3)] == [[98, 98], [99, 99], [0, 0]]
    assert read == [98, 99, 0]


def test_a_reader_may_fill_one_buffer_anew():
    buffer = np.zeros(2, np.float32)

    def batches():
        for number in range(3):
            buffer[:] = number
            yield {"x": buffer}

    stream = Stream(batches)
    first = stream.first.batches["x"]
    read = list(itertools.islice(stream.read(()), 3))
    assert [batch["x"].tolist() for batch in read] == [[0, 0], [1, 1], [2, 2]]
    assert first.tolist() == [[[0, 0]]]


def draw(*who):
    yield from np.random.default_rng(who).normal(size=(3, 2))


def test_functions_get_who_reads():
    def one(per, who):
        return next(Stream(lambda *given: draw(*given), per=per).read(who)).tolist()

    expected = [np.float32(next(draw(*who))).tolist() for who in ((), (5,), (2, 5))]
    assert [one("sweep", ()), one("seed", (5,)), one("trial", (2, 5))] == expected


@pytest.mark.parametrize(
    ("batches", "per", "message"),
    [
        (draw(), "sweep", "batches must be what can be read more than once, got <generator"),
        (zip([1.0]), "sweep", "give the function that makes it, or the data set behind it"),
        ({"x": [1.0]}, "sweep", r"a sequence of batches or batches\(\), got {'x'"),
        ("train.csv", "sweep", r"a sequence of batches or batches\(\), got 'train.csv'"),
        (3, "sweep", r"must be a sequence of batches or batches\(\), got 3"),
        ([1.0], "seed", r"per='seed' needs a function batches\(seed\), got \[1.0\]"),
        (lambda: [1.0], "seed", r"per='seed' calls batches\(seed\), which .* cannot be called"),
        (lambda seed: [1.0], "sweep", r"per='sweep' calls batches\(\), which"),
        (lambda seed: [1.0], "trial", r"per='trial' calls batches\(trial, seed\), which"),
    ],
)
def test_what_is_no_stream(batches, per, message):
    with pytest.raises(InvalidType, match=message):
        Stream(batches, per)


@pytest.mark.parametrize("per", ["run", None, ["seed"]])
def test_an_unknown_per(per):
    with pytest.raises(InvalidValue, match="per must be one of sweep, seed, trial, got"):
        Stream([1.0], per)


def fails():
    raise KeyError("labels")


def fails_later():
    yield 1.0
    fails()


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        ([], "the stream gives no batch at all"),
        (lambda: iter([]), "the stream gives no batch at all"),
        (fails, r"batches\(\) cannot be called: KeyError: 'labels' \(test_stream.py, line"),
        (fails_later, r"batch 1 cannot be read: KeyError: 'labels'"),
        (lambda: 3, r"batches\(\) must return what gives batches, got 3"),
        (lambda: {"x": [1.0]}, r"batches\(\) must return what gives batches, got {'x'"),
        (["a", "b"], "batch 0 cannot be read: TypeError: expected arrays of numbers, got <U1"),
        ([object()], "batch 0 cannot be read: TypeError: expected arrays of numbers, got object"),
        ([1.0, [1.0, "a"]], "batch 1 cannot be read: TypeError: expected arrays of numbers"),
        (np.ones(()), "batches cannot be counted"),
    ],
)
def test_what_cannot_be_read(batches, message):
    with pytest.raises((InvalidType, InvalidValue), match=message):
        list(itertools.islice(Stream(batches).read(()), 2))


def test_another_first_batch_the_second_time_is_refused():
    count = itertools.count()
    with pytest.raises(InvalidValue, match="gave another first batch when it was read again"):
        _ = Stream(lambda: [np.float32(next(count))]).first


def task(batches):
    return gdjax.Task(
        init=lambda key: jnp.zeros(2),
        loss=lambda params, batch, key: jnp.sum((params - batch) ** 2),
        batch=Stream(batches),
    )


def test_the_task_is_checked_with_the_first_batch():
    assert task([np.zeros(2)]).check() == {"loss"}
    with pytest.raises(InvalidValue, match=r"the first batch holds NaN in 1 places"):
        task([np.array([0.0, np.nan])]).check()
    with pytest.raises(InvalidType, match=r"Task\.loss cannot be traced"):
        task([np.zeros(3)]).check()


def test_a_single_run_cannot_read():
    with pytest.raises(InvalidType, match=r"a gdjax.Stream is read by gdjax.sweep, on the host"):
        gdjax.train(task([np.zeros(2)]), gdjax.sgd(0.1), steps=1, key=0)
