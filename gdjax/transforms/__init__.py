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
from gdjax.transforms.averaging import (
    AverageParamsState,
    LookaheadState,
    average_params,
    averaged_params,
    ema_params,
    lookahead,
    slow_params,
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
from gdjax.transforms.layerwise import (
    GradualUnfreezingState,
    gradual_unfreezing,
    scale_by_depth,
)
from gdjax.transforms.loss_scaling import DynamicLossScaleState, dynamic_loss_scale, loss_scale
from gdjax.transforms.masking import (
    MaskedState,
    PartitionState,
    freeze,
    masked,
    partition,
    set_to_zero,
)
from gdjax.transforms.momentum import ScaleByLionState, TraceState, scale_by_lion, trace
from gdjax.transforms.plateau import ReduceLROnPlateauState, reduce_on_plateau
from gdjax.transforms.regularization import add_decayed_weights
from gdjax.transforms.scaling import scale, scale_by_learning_rate
from gdjax.transforms.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_eval_params,
)
from gdjax.transforms.sharpness import SAMState, asam, sam

__all__ = [
    "ApplyEvery",
    "ApplyIfFiniteState",
    "AverageParamsState",
    "ConditionallyMaskState",
    "ConditionallyTransformState",
    "DynamicLossScaleState",
    "GradualUnfreezingState",
    "LookaheadState",
    "MaskedState",
    "MultiStepsState",
    "PartitionState",
    "ReduceLROnPlateauState",
    "SAMState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "ScheduleFreeState",
    "TraceState",
    "add_decayed_weights",
    "apply_every",
    "apply_if_finite",
    "asam",
    "average_params",
    "averaged_params",
    "clip",
    "clip_by_global_norm",
    "conditionally_mask",
    "conditionally_transform",
    "dynamic_loss_scale",
    "ema_params",
    "freeze",
    "gradual_unfreezing",
    "lookahead",
    "loss_scale",
    "masked",
    "multi_steps",
    "partition",
    "reduce_on_plateau",
    "sam",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_depth",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "schedule_free",
    "schedule_free_eval_params",
    "set_to_zero",
    "skip_large_updates",
    "skip_not_finite",
    "slow_params",
    "trace",
]
