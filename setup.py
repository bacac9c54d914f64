"""Packaging of meta-gan; settings of the tools stand in pyproject.toml."""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
VERSION = re.search(r'VERSION = "([^"]+)"', (HERE / "meta_gan" / "version.py").read_text()).group(1)

setup(
    name="meta-gan",
    version=VERSION,
    description="Few-shot generation by meta-learning, on TensorFlow and Keras",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    keywords="few-shot generation meta-learning GAN flow-matching MAML Reptile Keras TensorFlow",
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3 :: Only",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.11",
    packages=[
        *find_packages(include=["meta_gan", "meta_gan.*", "trainers", "trainers.*"]),
        "meta_gan.saved_models",
        # The entry point of the script, importable without importing meta_gan; see its docstring.
        "meta_gan_command",
    ],
    package_dir={"meta_gan.saved_models": "saved_models", "meta_gan_command": "meta_gan/cli/launcher"},
    package_data={
        "meta_gan": ["py.typed"],
        "trainers": ["py.typed"],
        "meta_gan.saved_models": ["*.md", "*/*", "*/*/*"],
        "meta_gan.protocol": ["class_splits/*"],
        "meta_gan.report": ["templates/*"],
        "meta_gan.demo": ["page/*", "templates/*"],
    },
    install_requires=[
        "tensorflow>=2.20,<2.23",
        "keras>=3.12,<4",
        "tensorflow-datasets>=4.9.9",
        "importlib_resources",
        "numpy",
        "scipy",
        "absl-py",
        "protobuf",
        "matplotlib",
        "jinja2",
        "markupsafe",
        "pillow",
        "safetensors",
        "h5py",
        "shtab",
    ],
    extras_require={
        "train": ["tensorboard"],
        "serving": ["tensorflow-serving-api"],
        "sound": ["soundfile", "soxr"],
        "onnx": ["onnx", "tf2onnx", "onnxruntime"],
        "rl": ["gymnasium"],
        "demo": ["starlette", "uvicorn"],
        "hub": ["huggingface_hub>=2,<3"],
        "docs": ["sphinx", "myst-nb", "jupytext", "furo"],
        "browser": ["playwright"],
        "dev": [
            *["pytest", "pytest-xdist", "ruff", "mypy"],
            *["tensorflow-serving-api", "onnx", "tf2onnx", "onnxruntime", "soundfile", "soxr", "gymnasium"],
            *["starlette", "uvicorn", "httpx2", "huggingface_hub>=2,<3", "jupytext", "nbclient", "ipykernel", "optuna"],
        ],
    },
    entry_points={"console_scripts": ["meta-gan = meta_gan_command:main"]},
)
