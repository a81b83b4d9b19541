import importlib.util
import io

import jax.numpy as jnp
import matplotlib
import numpy as np
import pytest

from gdjax import report
from gdjax.diagnostics import Line, Slice
from gdjax.errors import InvalidType, InvalidValue, MissingExtra
from gdjax.report import figures_landscapes
from gdjax.report.scales import FAINT, FAMILY_COLOURS, GREY

X, Y = jnp.linspace(-1, 1, 21), jnp.linspace(-2, 2, 31)
BOWL = 1e-3 + X[:, None] ** 2 + Y[None] ** 2
PATHS = {"sgd": np.array([[1.0, 2.0], [0.5, 0.5], [0.0, 0.0]]), "adam": np.array([[1.0, 2.0]])}
HALF_NAN = jnp.where(X[:, None] < 0, jnp.nan, BOWL)

SLICES = {
    "a bowl": Slice((X, Y), BOWL),
    "negative": Slice((X, Y), BOWL - 3),
    "with 0": Slice((X, Y), BOWL - BOWL.min()),
    "of one value": Slice((X, Y), jnp.full(BOWL.shape, 2.0)),
    "of 0": Slice((X, Y), jnp.zeros(BOWL.shape)),
    "not a number in places": Slice((X, Y), HALF_NAN),
    "infinite in places": Slice((X, Y), jnp.where(jnp.isnan(HALF_NAN), jnp.inf, BOWL)),
    "long and narrow": Slice((X, 10 * Y), BOWL),
    "very large in places": Slice((X, Y), BOWL.at[0, 0].set(1e30)),
    "a curve": Slice((X,), X**2),
    "a curve below 0": Slice((X,), -(X**2)),
    "a curve that blows up": Slice((X,), jnp.where(X > 0.9, jnp.inf, X**2)),
}


def png(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    assert buffer.getvalue().startswith(b"\x89PNG")
    return buffer.getvalue()


@pytest.mark.parametrize("name", SLICES)
def test_every_slice_is_drawn(name):
    png(report.draw_slice(SLICES[name], PATHS if len(SLICES[name].offsets) == 2 else None))


def test_a_surface_has_its_paths_its_shares_and_a_logarithmic_scale():
    figure = report.draw_slice(SLICES["a bowl"], PATHS, shares=[0.9, 0.0512], loss_label="nats")
    plane, bar = figure.axes
    lines = plane.get_lines()
    np.testing.assert_array_equal(lines[0].get_xydata(), PATHS["sgd"])
    np.testing.assert_array_equal(lines[1].get_xydata(), PATHS["sgd"][:1])  # the start
    np.testing.assert_array_equal(lines[2].get_xydata(), PATHS["sgd"][-1:])  # the end
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["sgd", "adam", "start", "end"]
    assert plane.get_xlabel() == "principal direction 1\n90 % of squared distance"
    assert plane.get_ylabel() == "principal direction 2\n5.12 % of squared distance"
    assert plane.get_aspect() == 1
    assert bar.get_ylabel() == "nats"
    levels = plane.collections[0].levels
    np.testing.assert_allclose(levels[1:] / levels[:-1], levels[1] / levels[0])
    np.testing.assert_allclose(levels[0], 1e-3, rtol=1e-6)
    linear = report.draw_slice(SLICES["negative"]).axes[0].collections[0].levels
    np.testing.assert_allclose(np.diff(linear), linear[1] - linear[0])
    assert report.draw_slice(SLICES["long and narrow"]).axes[0].get_aspect() == "auto"


def test_the_plane_is_not_transposed():
    """The loss grows along the second axis alone: each contour is a line across."""
    losses = jnp.broadcast_to(Y[None], BOWL.shape)
    plane = report.draw_slice(Slice((X, Y), losses)).axes[0]
    contour = plane.collections[1]
    for path, level in zip(contour.get_paths(), contour.levels, strict=True):
        np.testing.assert_allclose(path.vertices[:, 1], level, atol=1e-6)


def test_a_loss_of_0_takes_no_more_than_six_decades():
    levels = report.draw_slice(SLICES["with 0"]).axes[0].collections[0].levels
    np.testing.assert_allclose(levels[0], 5 / 10**figures_landscapes.DECADES, rtol=1e-5)


def test_a_line_has_its_barrier_where_it_is_highest():
    fractions = np.linspace(0, 1, 5)
    line = Line(fractions, np.array([0.0, 4.0, 4.5, 2.0, 2.0]), np.array(3.5))
    axes = report.draw_line(line, ("a", "b"), "nats").axes[0]
    straight, loss, ends = axes.get_lines()
    np.testing.assert_allclose(straight.get_ydata(), [0, 0.5, 1, 1.5, 2])
    np.testing.assert_allclose(loss.get_ydata(), line.losses)
    np.testing.assert_allclose(ends.get_xydata(), [[0, 0], [1, 2]])
    assert axes.get_title("left") == "barrier 3.5"
    (arrow,) = axes.texts
    np.testing.assert_allclose([arrow.xy, arrow.xyann], [[0.25, 4], [0.25, 0.5]])
    assert axes.get_xlabel() == "fraction of the way from a to b"
    png(report.draw_line(Line(fractions, np.array([0, 1, np.inf, 1, 0]), np.array(np.inf))))


def colours(figure):
    """Of each cell, ``[y, x]``, by name; and the legend's texts."""
    mesh = figure.axes[0].collections[0]
    named = [matplotlib.colors.to_hex(hue) for hue in mesh.to_rgba(mesh.get_array()).reshape(-1, 4)]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    return np.reshape(named, mesh.get_array().shape), texts


def test_a_map_has_a_cell_for_each_run_in_the_colour_of_its_minimum():
    labels = np.array([[0, -1], [1, -1], [0, 0]])
    diverged = np.array([[False, True], [False, False], [False, False]])
    figure = report.draw_basins(labels, [2.0, -1.0, 0.0], [0.1, 0.001], diverged, ["a", "b"])
    cells, texts = colours(figure)
    blue, red = (hue.lower() for hue in FAMILY_COLOURS[:2])
    # From low to high: rates 0.001 and 0.1; starts -1, 0 and 2.
    assert cells.tolist() == [[FAINT.lower(), blue, "#ffffff"], [red, blue, blue]]
    assert texts == ["a", "b", "at no minimum", "diverged"]
    axes = figure.axes[0]
    assert axes.get_yscale() == "log"
    np.testing.assert_allclose(axes.get_ylim(), [1e-4, 1])
    np.testing.assert_allclose(axes.get_xlim(), [-1.5, 3])
    png(figure)


def test_a_map_of_many_starts_minima_and_one_rate():
    many = np.arange(10_000) % 9
    figure = report.draw_basins(many[:, None], np.linspace(-1, 1, 10_000), [0.1])
    cells, texts = colours(figure)
    assert cells.shape == (1, figures_landscapes.CELLS)
    assert texts == [f"minimum {i}" for i in range(7)] + ["other minima"]
    assert GREY.lower() in cells
    png(figure)


def test_a_rate_of_0_has_a_place_on_a_logarithmic_axis():
    figure = report.draw_basins(np.zeros((2, 4), int), [0.0, 1.0], [0, 1e-3, 1e-2, 1e-1])
    assert colours(figure)[0].shape == (4, 2)
    low, high = figure.axes[0].get_ylim()
    assert 0 < low < 1e-4 < 1e-1 < high
    png(figure)


def test_bad_input():
    with pytest.raises(InvalidValue, match=r"draws one or two directions.*\(21,\), \(21,\), \(21"):
        report.draw_slice(Slice((X, X, X), jnp.zeros((21, 21, 21))))
    with pytest.raises(InvalidValue, match=r"shapes \[\(21,\), \(1,\)\] and lengths \[2.0, 0.0\]"):
        report.draw_slice(Slice((X, Y[:1]), BOWL[:, :1]))
    with pytest.raises(InvalidType, match=r"paths must be a dict by name, got \[array"):
        report.draw_slice(SLICES["a bowl"], [np.zeros((3, 2))])
    with pytest.raises(InvalidValue, match=r"got 'a' of shape \(3, 1\) over 2"):
        report.draw_slice(SLICES["a bowl"], {"a": np.zeros((3, 1))})
    with pytest.raises(InvalidValue, match=r"got 'a' of shape \(3, 2\) over 1"):
        report.draw_slice(SLICES["a curve"], {"a": np.zeros((3, 2))})
    with pytest.raises(InvalidValue, match="no loss is finite; take offsets nearer"):
        report.draw_slice(Slice((X,), X * jnp.nan))
    with pytest.raises(InvalidValue, match=r"got shapes \(2, 3\), \(2, 3\), \(3,\) and \(2,\)"):
        report.draw_basins(np.zeros((2, 3), int), np.zeros(3), np.zeros(2))


def test_figures_ignore_the_user_s_style_and_leave_it_alone():
    expected = png(report.draw_slice(SLICES["a bowl"], PATHS))
    with matplotlib.rc_context({"font.size": 30, "xtick.labelsize": 30, "axes.facecolor": "red"}):
        before = dict(matplotlib.rcParams)
        assert png(report.draw_slice(SLICES["a bowl"], PATHS)) == expected
        assert dict(matplotlib.rcParams) == before


def test_a_missing_package_is_said(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None)
    with pytest.raises(MissingExtra, match=r'gdjax\.report\.draw_slice needs .* "gdjax\[report\]"'):
        report.draw_slice(SLICES["a curve"])
