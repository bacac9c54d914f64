"""Learned meta-learners of earlier papers, kept to compare with; `meta_gan.meta_learners` exports them too."""

from meta_gan.meta_learners.ancestors.coordinatewise import CoordinatewiseLSTM, MetaLSTM
from meta_gan.meta_learners.ancestors.layerwise import ALFA, MetaCurvature

__all__ = ["ALFA", "CoordinatewiseLSTM", "MetaCurvature", "MetaLSTM"]
