"""Transformations: updates in, updates out, one family a file."""

from gdjax.transforms.accumulation import (
    ApplyEvery,
    MultiStepsState,
    apply_every,
    multi_steps,
    skip_large_updates,
    skip_not_finite,
)
from gdjax.transforms.adam import (
    ScaleByAdamState,
    ScaleByAmsgradState,
    scale_by_adam,
    scale_by_amsgrad,
)
from gdjax.transforms.adaptive import (
    ScaleByRmsState,
    ScaleByRssState,
    ScaleByRStdDevState,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gdjax.transforms.clipping import clip, clip_by_global_norm
from gdjax.transforms.conditional import (
    ApplyIfFiniteState,
    ConditionallyMaskState,
    ConditionallyTransformState,
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)
from gdjax.transforms.masking import (
    MaskedState,
    PartitionState,
    freeze,
    masked,
    partition,
    set_to_zero,
)
from gdjax.transforms.momentum import ScaleByLionState, TraceState, scale_by_lion, trace
from gdjax.transforms.regularization import add_decayed_weights
from gdjax.transforms.scaling import scale, scale_by_learning_rate

__all__ = [
    "ApplyEvery",
    "ApplyIfFiniteState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "MaskedState",
    "MultiStepsState",
    "PartitionState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "TraceState",
    "add_decayed_weights",
    "apply_every",
    "apply_if_finite",
    "clip",
    "clip_by_global_norm",
    "conditionally_mask",
    "conditionally_transform",
    "freeze",
    "masked",
    "multi_steps",
    "partition",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "set_to_zero",
    "skip_large_updates",
    "skip_not_finite",
    "trace",
]
