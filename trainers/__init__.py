"""Long training runs: numbered folders, checkpoints, exact resume, validation and previews."""

from trainers.config import TrainConfig
from trainers.meta_trainer import MetaTrainer, TrainingStopped
from trainers.threads import configure_threads

__all__ = ["MetaTrainer", "TrainConfig", "TrainingStopped", "configure_threads"]
