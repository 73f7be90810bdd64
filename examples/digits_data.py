"""The 1,797 handwritten digits that scikit-learn ships."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def load_data():
    """Images (n, 8, 8, 1) in 0..1 and labels, for training and for testing."""
    digits = load_digits()
    images = (digits.images / 16.0).astype(np.float32)[..., None]
    return train_test_split(
        images, digits.target, test_size=0.25, random_state=0, stratify=digits.target
    )
