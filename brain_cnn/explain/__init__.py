"""Where the network looked.

`gradcam` needs TensorFlow, so this file does not import it: serving takes its heatmaps from the
class maps and works without TensorFlow.
"""
