import importlib.util
import io

import numpy as np
import pytest

import gdjax
from gdjax.errors import MissingExtra

RATES = np.logspace(-3, 0, 7)


def found(objective="loss", mode="min", spoilt=()):
    """A valley, with some runs of the last rates spoilt."""
    losses = 0.1 + np.log10(RATES / 0.03)[:, None] ** 2 + np.array([0.0, 0.01])
    losses[len(RATES) - len(spoilt) :, 0] = spoilt
    scores = losses if mode == "min" else 1 / (1 + losses)
    return gdjax.LearningRates(
        0.02, 0.003, 0.3, 20, 80, objective, mode, 2.3, RATES, losses, scores
    )


@pytest.mark.parametrize(
    ("result", "panels"),
    [
        (found(), 1),
        (found("heldout_accuracy", "max"), 2),
        (found("heldout_loss", spoilt=[np.nan, 1e30, np.inf]), 2),
    ],
)
def test_the_figure_shows_each_run_and_the_suggestion(result, panels):
    figure = gdjax.report.draw_learning_rates(result)
    assert len(figure.axes) == panels
    runs, off = figure.axes[0].lines[:2]
    assert len(runs.get_xdata()) + len(off.get_xdata()) == result.losses.size
    assert len(off.get_xdata()) == 3 * (~np.isfinite(result.losses)).any()
    low, high = figure.axes[0].get_ylim()
    assert ((off.get_ydata() > low) & (off.get_ydata() < high)).all()
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    assert texts == ["workable", "suggestion for 80 updates: 0.02", "at the start"]
    picture = io.BytesIO()
    figure.savefig(picture)
    assert picture.getvalue().startswith(b"\x89PNG")


def test_a_missing_package_is_said(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "matplotlib" else find(name)
    )
    with pytest.raises(MissingExtra, match=r'learning_rates needs .* "gdjax\[report\]"'):
        gdjax.report.draw_learning_rates(found())
