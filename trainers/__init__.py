"""Long training runs: numbered folders, checkpoints, exact resume, validation and previews."""

from trainers.config import TrainConfig
from trainers.meta_trainer import MetaTrainer, TrainingStopped
from trainers.strategies import make_strategy
from trainers.threads import configure_threads
from trainers.workers import WorkerLost

__all__ = ["MetaTrainer", "TrainConfig", "TrainingStopped", "WorkerLost", "configure_threads", "make_strategy"]
