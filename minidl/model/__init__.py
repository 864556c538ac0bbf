"""The network as users hold it, what it takes for images, and its weights on disk."""

from minidl.model.images import as_images
from minidl.model.model import Model

__all__ = ["Model", "as_images"]
