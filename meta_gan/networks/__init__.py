"""Networks that keep the contract of `meta_gan.networks.base` and so can be players of a game.

A file holds one family and is named by its architecture; the functions that make a pair are named by the model."""

from meta_gan.networks.base import Discriminator, Generator
from meta_gan.networks.colour_fusion import ColourFusionGenerator, colour_fusion
from meta_gan.networks.convolutional import DCGANDiscriminator, DCGANGenerator, ImageEncoder, dcgan
from meta_gan.networks.dense import MLPDiscriminator, MLPEncoder, MLPGenerator, mlp
from meta_gan.networks.flow import FlowGenerator
from meta_gan.networks.image_fusion import FusionDiscriminator, FusionGenerator, fusion
from meta_gan.networks.self_attention import SAGANDiscriminator, SAGANGenerator, sagan
from meta_gan.networks.sequences import SequenceDiscriminator, WaveGenerator
from meta_gan.networks.sound_fusion import WaveFusionDiscriminator, WaveFusionGenerator
from meta_gan.networks.task_encoder import TaskEncoder
from meta_gan.networks.texts import TextGenerator
from meta_gan.networks.translation import Translator
from meta_gan.networks.unet import UNet
from meta_gan.networks.wrappers import SCALE_AND_SHIFT, ScaleAndShift, SetPrior

__all__ = [
    "SCALE_AND_SHIFT",
    "ColourFusionGenerator",
    "DCGANDiscriminator",
    "DCGANGenerator",
    "Discriminator",
    "FlowGenerator",
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
    "UNet",
    "WaveFusionDiscriminator",
    "WaveFusionGenerator",
    "WaveGenerator",
    "colour_fusion",
    "dcgan",
    "fusion",
    "mlp",
    "sagan",
]
