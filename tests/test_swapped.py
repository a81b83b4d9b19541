from tests import swapped


def test_what_both_have_is_swapped():
    names = swapped.shared()
    assert {"adam", "chain", "masked", "clip", "cosine_decay_schedule", "sam"} <= set(names)
    assert "apply_updates" not in names  # which is Optax's own
