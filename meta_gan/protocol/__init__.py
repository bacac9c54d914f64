"""The evaluation protocol few-shot-28: which images of which classes are compared, and how they are scored."""

from meta_gan.protocol.evaluation import Evaluation
from meta_gan.protocol.methods import Method
from meta_gan.protocol.settings import Settings

__all__ = ["Evaluation", "Method", "Settings"]
