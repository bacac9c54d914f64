"""Tools for exported models: safe inspection, loading, requests, warm-up, and adapted weights as data."""

from meta_gan.serving.inspection import Inspection, inspect
from meta_gan.serving.served import Served, load, load_generator
from meta_gan.serving.warm_up import write_warm_up
from meta_gan.serving.weights import load_weights, save_weights

__all__ = [
    "Inspection",
    "Served",
    "inspect",
    "load",
    "load_generator",
    "load_weights",
    "save_weights",
    "write_warm_up",
]
