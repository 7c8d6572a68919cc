"""What drift is measured against: frozen, named, versioned sets of vectors, and which of them holds when."""

from inferwatch.streams.references.references import References
from inferwatch.streams.references.stored import vectors_of

__all__ = ["References", "vectors_of"]
