"""Learned meta-learners of earlier papers, one file per paper; `meta_gan.meta_learners` exports them."""

from meta_gan.meta_learners.ancestors.alfa import ALFA
from meta_gan.meta_learners.ancestors.coordinatewise_lstm import CoordinatewiseLSTM
from meta_gan.meta_learners.ancestors.meta_curvature import MetaCurvature
from meta_gan.meta_learners.ancestors.meta_lstm import MetaLSTM

__all__ = ["ALFA", "CoordinatewiseLSTM", "MetaCurvature", "MetaLSTM"]
