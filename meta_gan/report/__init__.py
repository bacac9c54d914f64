"""Reports of an evaluation, and their renderings as JSON, Markdown and one self-contained HTML page."""

from meta_gan.report.attention import save_attention
from meta_gan.report.augmentation import AugmentationReport
from meta_gan.report.reports import Report, TranslationReport

__all__ = ["AugmentationReport", "Report", "TranslationReport", "save_attention"]
