"""Is this a head MRI like those that the model knows? The gate, its descriptors, and trust.

May import the ground; what is fitted after a training is here too (`fit_gate`).
"""
