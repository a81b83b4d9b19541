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
from gdjax.transforms.aggregation import (
    DifferentiallyPrivateAggregateState,
    differentially_private_aggregate,
    geometric_median_of_workers,
    mean_of_workers,
    median_of_workers,
    trimmed_mean_of_workers,
)
from gdjax.transforms.annealing import (
    AcceptByMetropolisState,
    accept_by_metropolis,
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
from gdjax.transforms.noise import (
    AddNoiseState,
    LangevinState,
    PerturbState,
    PreconditionedLangevinState,
    add_noise,
    langevin_step,
    perturb_where_stationary,
    preconditioned_langevin_step,
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
    "AcceptByMetropolisState",
    "AddNoiseState",
    "ClipByQuantileState",
    "DifferentiallyPrivateAggregateState",
    "LangevinState",
    "PerturbState",
    "PreconditionedLangevinState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "TraceState",
    "ZeroNansState",
    "accept_by_metropolis",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "clip_by_quantile",
    "clip_by_unit_norm",
    "differentially_private_aggregate",
    "geometric_median_of_workers",
    "group_soft_threshold",
    "keep_params_nonnegative",
    "langevin_step",
    "limit_unit_norm",
    "mean_of_workers",
    "median_of_workers",
    "normalize",
    "normalize_by_update_norm",
    "perturb_where_stationary",
    "preconditioned_langevin_step",
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
    "trimmed_mean_of_workers",
    "zero_nans",
]
