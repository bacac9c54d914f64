"""Families of generative models as games between players."""

from meta_gan.games.base import Endpoint, Game
from meta_gan.games.distillation import FlowDistillation
from meta_gan.games.flow import FlowMatching
from meta_gan.games.gan import GAN, Terms
from meta_gan.games.transfer import Transfer
from meta_gan.games.translation import Translation
from meta_gan.games.vae import VAE

__all__ = ["GAN", "VAE", "Endpoint", "FlowDistillation", "FlowMatching", "Game", "Terms", "Transfer", "Translation"]
