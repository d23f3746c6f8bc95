"""The four classes: their fixed order, their names, and the folder names that mean them.

The order of `LABELS` is the order of every logit, probability and class map in the
product. It is ours and explicit: it never comes from a folder listing.
"""

LABELS: tuple[str, ...] = ("glioma", "meningioma", "notumor", "pituitary")
TUMOUR_LABELS: tuple[str, ...] = ("glioma", "meningioma", "pituitary")
NOTUMOR = "notumor"

DISPLAY_NAMES: dict[str, str] = {
    "glioma": "Glioma",
    "meningioma": "Meningioma",
    "notumor": "None of these tumours seen in this slice",
    "pituitary": "Pituitary tumour",
}

DESCRIPTIONS: dict[str, str] = {
    "glioma": "A tumour that arises from the glial cells of the brain tissue itself.",
    "meningioma": "A tumour that arises from the meninges, the membranes around the brain.",
    "notumor": "No glioma, meningioma or pituitary tumour was recognised here. "
    "That does not mean healthy: the model does not look for other lesions.",
    "pituitary": "A tumour of the pituitary gland, at the base of the brain.",
}

DISCLAIMER = (
    "For research and education only. Not a medical device; not for diagnosis or treatment."
)

# What other releases of the same data call the four folders, after `_key` below.
_ALIASES: dict[str, str] = {
    "glioma": "glioma",
    "gliomas": "glioma",
    "gliomatumor": "glioma",
    "gliomatumour": "glioma",
    "meningioma": "meningioma",
    "meningiomas": "meningioma",
    "meningiomatumor": "meningioma",
    "meningiomatumour": "meningioma",
    "notumor": "notumor",
    "notumour": "notumor",
    "no": "notumor",
    "normal": "notumor",
    "healthy": "notumor",
    "pituitary": "pituitary",
    "pituitarytumor": "pituitary",
    "pituitarytumour": "pituitary",
}


def label_index(label: str) -> int:
    """Return the position of `label` (one of `LABELS`) in every probability vector."""
    return LABELS.index(label)


def label_from_folder(name: str) -> str | None:
    """Return the class that a folder called `name` holds, or None if it names none of them.

    Case, spaces, hyphens and underscores are ignored: `No_Tumor` is `notumor`.
    """
    key = "".join(ch for ch in name.lower() if ch.isalnum())
    return _ALIASES.get(key)
