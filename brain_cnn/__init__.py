"""Brain CNN: a brain MRI slice -> tumour class, honest confidence, Grad-CAM.

    from brain_cnn import load_classifier, read_scan, make_gradcam_heatmap

Each name is imported when it is first used: reading a scan needs no engine, and only
`make_gradcam_heatmap` needs Keras.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# ONNX Runtime (1.32) keeps an id of the device in the home folder and reports its use to its
# makers. It looks at this once, when it is imported, so it must be said before.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from brain_cnn.explain.gradcam import make_gradcam_heatmap
    from brain_cnn.inference.classifier import Classifier, load_classifier
    from brain_cnn.inference.diagnosis import Diagnosis
    from brain_cnn.inference.study import StudyDiagnosis
    from brain_cnn.scan import Scan, Slice, read_scan

__version__ = "0.1.0"
__all__ = [
    "Classifier",
    "Diagnosis",
    "Scan",
    "Slice",
    "StudyDiagnosis",
    "load_classifier",
    "make_gradcam_heatmap",
    "read_scan",
]

_HOMES = {
    "Classifier": "brain_cnn.inference.classifier",
    "load_classifier": "brain_cnn.inference.classifier",
    "Diagnosis": "brain_cnn.inference.diagnosis",
    "Scan": "brain_cnn.scan",
    "Slice": "brain_cnn.scan",
    "StudyDiagnosis": "brain_cnn.inference.study",
    "read_scan": "brain_cnn.scan",
    "make_gradcam_heatmap": "brain_cnn.explain.gradcam",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
