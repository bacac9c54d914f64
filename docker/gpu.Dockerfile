# Training on a GPU: docker build -f docker/gpu.Dockerfile -t meta-gan-gpu .
# Run with the NVIDIA Container Toolkit:
#   docker run --gpus all --rm --volume "$PWD:/work" meta-gan-gpu train --data my_classes/ --out runs
FROM python:3.12-slim-bookworm

# The extra and-cuda installs CUDA's libraries; the driver is that of the host. setup.py has the same bounds on TensorFlow.
COPY setup.py pyproject.toml README.md LICENSE /source/
COPY meta_gan /source/meta_gan
COPY trainers /source/trainers
COPY saved_models /source/saved_models
RUN pip install --no-cache-dir "/source[train]" "tensorflow[and-cuda]>=2.20,<2.23" && rm -r /source

# With `docker run --user "$(id -u)"` the files that are written to /work belong to you.
RUN useradd --create-home --uid 1000 user && mkdir /work && chown user /work
USER 1000
WORKDIR /work
ENV META_GAN_CACHE=/tmp/meta_gan
ENTRYPOINT ["meta-gan"]
CMD ["--help"]
