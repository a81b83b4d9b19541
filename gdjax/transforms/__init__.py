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
from gdjax.transforms.clipping import clip, clip_by_global_norm
from gdjax.transforms.grafting import GraftState, graft
from gdjax.transforms.momentum import ScaleByLionState, TraceState, scale_by_lion, trace
from gdjax.transforms.orthogonalization import (
    MuonState,
    OnMatricesState,
    on_matrices,
    scale_by_muon,
    scale_matrices_by_shape,
)
from gdjax.transforms.regularization import add_decayed_weights
from gdjax.transforms.scaling import scale, scale_by_learning_rate
from gdjax.transforms.shampoo import ScaleByShampooState, scale_by_shampoo
from gdjax.transforms.soap import ScaleBySoapState, scale_by_soap

__all__ = [
    "GraftState",
    "MuonState",
    "OnMatricesState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "ScaleByShampooState",
    "ScaleBySoapState",
    "TraceState",
    "add_decayed_weights",
    "clip",
    "clip_by_global_norm",
    "graft",
    "on_matrices",
    "scale",
    "scale_by_adam",
    "scale_by_amsgrad",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_muon",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_shampoo",
    "scale_by_soap",
    "scale_by_stddev",
    "scale_matrices_by_shape",
    "trace",
]
