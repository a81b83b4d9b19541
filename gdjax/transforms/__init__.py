"""Transformations: updates in, updates out, one family a file."""

from gdjax.transforms.adadelta import ScaleByAdaDeltaState, scale_by_adadelta
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
from gdjax.transforms.clipping import (
    ClipByQuantileState,
    ZeroNansState,
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    clip_by_quantile,
    clip_by_unit_norm,
    zero_nans,
)
from gdjax.transforms.factored import (
    FactoredState,
    ScaleBySM3State,
    scale_by_factored_rms,
    scale_by_sm3,
)
from gdjax.transforms.layerwise import (
    descend_and_shrink,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_trust_ratio,
)
from gdjax.transforms.momentum import (
    EmaState,
    ScaleByLionState,
    TraceState,
    ema,
    scale_by_lion,
    trace,
)
from gdjax.transforms.normalization import centralize, normalize, normalize_by_update_norm
from gdjax.transforms.parameter_free import (
    ScaleByDistanceOverGradientsState,
    scale_by_distance_over_gradients,
    scale_by_polyak,
)
from gdjax.transforms.proximal import (
    group_soft_threshold,
    keep_params_nonnegative,
    limit_unit_norm,
    project,
    soft_threshold,
)
from gdjax.transforms.regularization import add_decayed_weights
from gdjax.transforms.rprop import ScaleByRpropState, scale_by_rprop
from gdjax.transforms.scaling import scale, scale_by_learning_rate, scale_by_schedule

__all__ = [
    "ClipByQuantileState",
    "EmaState",
    "FactoredState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByDistanceOverGradientsState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRpropState",
    "ScaleByRssState",
    "ScaleBySM3State",
    "TraceState",
    "ZeroNansState",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "clip_by_quantile",
    "clip_by_unit_norm",
    "descend_and_shrink",
    "ema",
    "group_soft_threshold",
    "keep_params_nonnegative",
    "limit_unit_norm",
    "normalize",
    "normalize_by_update_norm",
    "project",
    "scale",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_distance_over_gradients",
    "scale_by_factored_rms",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_polyak",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_sm3",
    "scale_by_stddev",
    "scale_by_trust_ratio",
    "soft_threshold",
    "trace",
    "zero_nans",
]
