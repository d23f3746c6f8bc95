"""Is a picture like those that the model knows? The OOD gate and trust, and how to fit them."""
