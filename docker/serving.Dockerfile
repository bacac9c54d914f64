# TF Serving with a model that adapts in each request. From the root of this repository:
#   meta-gan export --model omniglot --out served/characters
#   docker build -f docker/serving.Dockerfile -t characters . && docker run --rm -p 8500:8500 -p 8501:8501 characters
# The version must be that of the TensorFlow that exported the model, or newer.
ARG TF_SERVING=2.21.0
FROM tensorflow/serving:${TF_SERVING}

COPY served/characters /models/characters
ENV MODEL_NAME=characters

# Batching stays off, as it is by default: it would mix the support sets of different callers.
RUN useradd --create-home --uid 1000 user
USER 1000
