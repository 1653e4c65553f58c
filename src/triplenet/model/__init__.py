"""The model file: one ``.safetensors`` with the weights and, as JSON in its header, all that is needed to use them.

Tensors: ``network.*`` (the method's state), ``preprocessing.mean_image`` (size, size) float32 in 0..1, and, together or
not at all, ``training.embedding_mean`` (D,) and ``training.embedding_whitening`` (D, D), float32. The header's only
entry, ``triplenet``, is a ``ModelCard``. Nothing in the file is code, and reading the card needs no torch.

A file may come from anywhere, so it is checked as a scan is: ``card`` bounds what it says, ``storage`` what is read of
it and what is built from it, ``tensor_checks`` its values.
"""

from triplenet.catalog import INTENDED_USE
from triplenet.model.card import Hash, ModelCard, TaskCard, input_fault, task_card
from triplenet.model.embedding import EMBEDDING_MEAN, EMBEDDING_WHITENING, Embedding
from triplenet.model.onnx_card import read_onnx_card, read_onnx_entries
from triplenet.model.preprocessing import full_float32, normalise
from triplenet.model.storage import (
    CARD,
    MEAN_IMAGE,
    PREFIX,
    Model,
    check_model,
    load_model,
    read_card,
    save_model,
    tensors_sha256,
    verify_model,
)
from triplenet.model.temperature import Temperature, apply_temperature, fit_temperature
from triplenet.model.tensor_checks import value_fault
from triplenet.model.training_scans import EmbeddingFacts, TrainingScans

__all__ = [
    "CARD",
    "EMBEDDING_MEAN",
    "EMBEDDING_WHITENING",
    "INTENDED_USE",
    "MEAN_IMAGE",
    "PREFIX",
    "Embedding",
    "EmbeddingFacts",
    "Hash",
    "Model",
    "ModelCard",
    "TaskCard",
    "Temperature",
    "TrainingScans",
    "apply_temperature",
    "check_model",
    "fit_temperature",
    "full_float32",
    "input_fault",
    "load_model",
    "normalise",
    "read_card",
    "read_onnx_card",
    "read_onnx_entries",
    "save_model",
    "task_card",
    "tensors_sha256",
    "value_fault",
    "verify_model",
]
