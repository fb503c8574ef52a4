"""The door to TensorFlow's SavedModel: Keras' own, which says that it is closed to this backend."""

from __future__ import annotations

from typing import Any

from keras.src.export import saved_model_export_archive as archive

SavedModelExportArchive: Any = (
    getattr(archive, "BaseSavedModelExportArchive", None) or archive.SavedModelExportArchive
)  # its name from 3.16 on, and before
