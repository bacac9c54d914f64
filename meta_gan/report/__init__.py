"""Reports of an evaluation, as Markdown and as one self-contained HTML page."""

from meta_gan.report.attention import save_attention
from meta_gan.report.markdown import markdown
from meta_gan.report.page import html

__all__ = ["html", "markdown", "save_attention"]
