"""Transformations: updates in, updates out, one family a file."""

from gdjax.transforms.accumulation import (
    apply_every,
    multi_steps,
    skip_large_updates,
    skip_not_finite,
)
from gdjax.transforms.adadelta import (
    scale_by_adadelta,
)
from gdjax.transforms.adam import (
    ScaleByAdamState,
    ScaleByAmsgradState,
    scale_by_adam,
    scale_by_amsgrad,
)
from gdjax.transforms.adaptive import (
    ScaleByRmsState,
    ScaleByRStdDevState,
    scale_by_rms,
    scale_by_rss,
    scale_by_stddev,
)
from gdjax.transforms.aggregation import (
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
from gdjax.transforms.averaging import (
    AverageParamsState,
    LookaheadState,
    average_params,
    averaged_params,
    ema_params,
    lookahead,
    slow_params,
)
from gdjax.transforms.cautious import (
    CautiousState,
    cautious,
)
from gdjax.transforms.clipping import (
    ClipByQuantileState,
    adaptive_grad_clip,
    clip,
    clip_by_block_rms,
    clip_by_global_norm,
    clip_by_quantile,
    clip_by_unit_norm,
    zero_nans,
)
from gdjax.transforms.conditional import (
    apply_if_finite,
    conditionally_mask,
    conditionally_transform,
)
from gdjax.transforms.denominators import (
    ScaleByAdamaxState,
    ScaleByBeliefState,
    ScaleByYogiState,
    scale_by_adamax,
    scale_by_belief,
    scale_by_yogi,
)
from gdjax.transforms.differences import (
    CorrectByMarsState,
    ScaleByAdanState,
    ScaleByOptimisticGradientState,
    correct_by_mars,
    scale_by_adan,
    scale_by_optimistic_gradient,
)
from gdjax.transforms.distance_adaptation import (
    ScaleByDAdaptAdamState,
    ScaleByProdigyState,
    scale_by_dadapt_adam,
    scale_by_prodigy,
)
from gdjax.transforms.factored import (
    scale_by_factored_rms,
    scale_by_sm3,
)
from gdjax.transforms.federated import (
    ScaleByServerMomentsState,
    scale_by_server_moments,
)
from gdjax.transforms.finetuning import (
    GradualUnfreezingState,
    gradual_unfreezing,
    scale_by_depth,
)
from gdjax.transforms.grafting import (
    GraftState,
    graft,
)
from gdjax.transforms.layerwise import (
    descend_and_shrink,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_trust_ratio,
)
from gdjax.transforms.loss_scaling import (
    DynamicLossScaleState,
    dynamic_loss_scale,
    loss_scale,
)
from gdjax.transforms.masking import (
    freeze,
    masked,
    partition,
    set_to_zero,
)
from gdjax.transforms.mixtures import (
    ScaleByAdemamixState,
    ScaleBySimplifiedAdEMAMixState,
    scale_by_ademamix,
    scale_by_simplified_ademamix,
)
from gdjax.transforms.momentum import (
    EmaState,
    ema,
    trace,
)
from gdjax.transforms.noise import (
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
from gdjax.transforms.normalized import (
    scale_by_adopt,
    scale_by_novograd,
)
from gdjax.transforms.orthogonalization import (
    MuonState,
    scale_by_muon,
    scale_matrices_by_shape,
)
from gdjax.transforms.parameter_free import (
    ScaleByDistanceOverGradientsState,
    scale_by_distance_over_gradients,
    scale_by_polyak,
)
from gdjax.transforms.plateau import (
    reduce_on_plateau,
)
from gdjax.transforms.proximal import (
    group_soft_threshold,
    keep_params_nonnegative,
    limit_unit_norm,
    project,
    soft_threshold,
)
from gdjax.transforms.rectified import (
    ScaleByRadamState,
    scale_by_radam,
)
from gdjax.transforms.regularization import (
    add_decayed_weights,
)
from gdjax.transforms.rprop import (
    scale_by_rprop,
)
from gdjax.transforms.scaling import (
    scale,
    scale_by_learning_rate,
    scale_by_schedule,
)
from gdjax.transforms.schedule_free import (
    schedule_free,
    schedule_free_eval_params,
)
from gdjax.transforms.shampoo import (
    ScaleByShampooState,
    scale_by_shampoo,
)
from gdjax.transforms.sharpness import (
    SAMState,
    asam,
    sam,
)
from gdjax.transforms.signs import (
    scale_by_lion,
    scale_by_sign,
)
from gdjax.transforms.soap import (
    ScaleBySoapState,
    scale_by_soap,
)

__all__ = [
    "AcceptByMetropolisState",
    "AverageParamsState",
    "CautiousState",
    "ClipByQuantileState",
    "CorrectByMarsState",
    "DynamicLossScaleState",
    "EmaState",
    "GradualUnfreezingState",
    "GraftState",
    "LangevinState",
    "LookaheadState",
    "MuonState",
    "PerturbState",
    "PreconditionedLangevinState",
    "SAMState",
    "ScaleByAdamState",
    "ScaleByAdamaxState",
    "ScaleByAdanState",
    "ScaleByAdemamixState",
    "ScaleByAmsgradState",
    "ScaleByBeliefState",
    "ScaleByDAdaptAdamState",
    "ScaleByDistanceOverGradientsState",
    "ScaleByOptimisticGradientState",
    "ScaleByProdigyState",
    "ScaleByRStdDevState",
    "ScaleByRadamState",
    "ScaleByRmsState",
    "ScaleByServerMomentsState",
    "ScaleByShampooState",
    "ScaleBySimplifiedAdEMAMixState",
    "ScaleBySoapState",
    "ScaleByYogiState",
    "accept_by_metropolis",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "apply_every",
    "apply_if_finite",
    "asam",
    "average_params",
    "averaged_params",
    "cautious",
    "centralize",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "clip_by_quantile",
    "clip_by_unit_norm",
    "conditionally_mask",
    "conditionally_transform",
    "correct_by_mars",
    "descend_and_shrink",
    "differentially_private_aggregate",
    "dynamic_loss_scale",
    "ema",
    "ema_params",
    "freeze",
    "geometric_median_of_workers",
    "gradual_unfreezing",
    "graft",
    "group_soft_threshold",
    "keep_params_nonnegative",
    "langevin_step",
    "limit_unit_norm",
    "lookahead",
    "loss_scale",
    "masked",
    "mean_of_workers",
    "median_of_workers",
    "multi_steps",
    "normalize",
    "normalize_by_update_norm",
    "partition",
    "perturb_where_stationary",
    "preconditioned_langevin_step",
    "project",
    "reduce_on_plateau",
    "sam",
    "scale",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_dadapt_adam",
    "scale_by_depth",
    "scale_by_distance_over_gradients",
    "scale_by_factored_rms",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_muon",
    "scale_by_novograd",
    "scale_by_optimistic_gradient",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_polyak",
    "scale_by_prodigy",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_server_moments",
    "scale_by_shampoo",
    "scale_by_sign",
    "scale_by_simplified_ademamix",
    "scale_by_sm3",
    "scale_by_soap",
    "scale_by_stddev",
    "scale_by_trust_ratio",
    "scale_by_yogi",
    "scale_matrices_by_shape",
    "schedule_free",
    "schedule_free_eval_params",
    "set_to_zero",
    "skip_large_updates",
    "skip_not_finite",
    "slow_params",
    "soft_threshold",
    "trace",
    "trimmed_mean_of_workers",
    "zero_nans",
]
