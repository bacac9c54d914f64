"""Reports of an evaluation, and their renderings as JSON, Markdown and one self-contained HTML page."""

from meta_gan.report.attention import save_attention
from meta_gan.report.augmentation import AugmentationReport
from meta_gan.report.plane import save_plane
from meta_gan.report.reports import PlaneReport, Report, TranslationReport

__all__ = ["AugmentationReport", "PlaneReport", "Report", "TranslationReport", "save_attention", "save_plane"]
