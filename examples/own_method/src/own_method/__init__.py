"""A method of one's own: what triplenet has to know of it before it imports torch."""

from triplenet.catalog import Method

METHOD = Method(
    name="small-cnn",
    title="Small CNN",
    module="own_method.network",
    terms=("classification", "focal"),
    parameters=23_538,
    imagenet=False,
)
