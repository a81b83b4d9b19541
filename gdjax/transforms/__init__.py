"""Transformations: updates in, updates out, one family a file."""

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
from gdjax.transforms.momentum import (
    ScaleByLionState,
    TraceState,
    scale_by_lion,
    trace,
)
from gdjax.transforms.normalization import (
    centralize,
    normalize,
    normalize_by_update_norm,
)
from gdjax.transforms.proximal import (
    group_soft_threshold,
    keep_params_nonnegative,
    limit_unit_norm,
    project,
    soft_threshold,
)
from gdjax.transforms.regularization import (
    add_decayed_weights,
)
from gdjax.transforms.scaling import (
    scale,
    scale_by_learning_rate,
)

__all__ = [
    "ClipByQuantileState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
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
    "group_soft_threshold",
    "keep_params_nonnegative",
    "limit_unit_norm",
    "normalize",
    "normalize_by_update_norm",
    "project",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "soft_threshold",
    "trace",
    "zero_nans",
]
