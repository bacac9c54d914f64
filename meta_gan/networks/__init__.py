"""Networks that keep the contract of `meta_gan.networks.base` and so may be players of a game."""

from meta_gan.networks.base import Discriminator, Generator
from meta_gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan
from meta_gan.networks.mlp import MLPDiscriminator, MLPGenerator, mlp

__all__ = [
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "Generator",
    "MLPDiscriminator",
    "MLPGenerator",
    "dcgan",
    "mlp",
]
