"""Networks that keep the contract of `meta_gan.networks.base` and so may be players of a game."""

from meta_gan.networks.base import Discriminator, Generator
from meta_gan.networks.dcgan import DCGANDiscriminator, DCGANGenerator, dcgan
from meta_gan.networks.encoders import ImageEncoder, MLPEncoder
from meta_gan.networks.fusion import FusionGenerator
from meta_gan.networks.fusion_discriminator import FusionDiscriminator, fusion
from meta_gan.networks.mlp import MLPDiscriminator, MLPGenerator, mlp
from meta_gan.networks.sagan import SAGANDiscriminator, SAGANGenerator, sagan
from meta_gan.networks.scale_shift import SCALE_AND_SHIFT, ScaleAndShift
from meta_gan.networks.sequence import SequenceDiscriminator, WaveGenerator
from meta_gan.networks.set_prior import SetPrior
from meta_gan.networks.task_encoder import TaskEncoder
from meta_gan.networks.texts import TextGenerator
from meta_gan.networks.translation import Translator
from meta_gan.networks.wave_fusion import WaveFusionDiscriminator, WaveFusionGenerator

__all__ = [
    "SCALE_AND_SHIFT",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "FusionDiscriminator",
    "FusionGenerator",
    "Generator",
    "ImageEncoder",
    "MLPDiscriminator",
    "MLPEncoder",
    "MLPGenerator",
    "SAGANDiscriminator",
    "SAGANGenerator",
    "ScaleAndShift",
    "SequenceDiscriminator",
    "SetPrior",
    "TaskEncoder",
    "TextGenerator",
    "Translator",
    "WaveFusionDiscriminator",
    "WaveFusionGenerator",
    "WaveGenerator",
    "dcgan",
    "fusion",
    "mlp",
    "sagan",
]
