"""What the CIFAR-10 examples share: the data, its augmentation, and ResNet-8."""

import keras
import numpy as np

_SHIFT = 4


def load_data(path=None):
    """Images in 0..255 and labels: Keras' CIFAR-10, or an .npz file with the same arrays."""
    if path:
        with np.load(path) as data:
            arrays = [data[name] for name in ("x_train", "y_train", "x_test", "y_test")]
    else:
        (x_train, y_train), (x_test, y_test) = keras.datasets.cifar10.load_data()
        arrays = [x_train, y_train, x_test, y_test]
    x_train, y_train, x_test, y_test = arrays
    return x_train, y_train.ravel(), x_test.astype(np.float32), y_test.ravel()


class AugmentedImages(keras.utils.PyDataset):
    """Shuffled batches, images shifted by up to four pixels and, if told, mirrored by chance."""

    def __init__(self, x, y, batch_size, seed, mirror=True):
        super().__init__()
        pad = ((0, 0), (_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0))
        self._padded = np.pad(x, pad, mode="reflect")
        self._labels = y
        self._batch_size = batch_size
        self._mirror = mirror
        self._rng = np.random.default_rng(seed)
        self.on_epoch_end()

    def __len__(self):
        return len(self._labels) // self._batch_size

    def __getitem__(self, index):
        picked = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        size = np.arange(self._padded.shape[1] - 2 * _SHIFT)
        top, left = self._rng.integers(0, 2 * _SHIFT + 1, (2, len(picked), 1))
        rows, columns = top + size, left + size
        mirrored = self._mirror & (self._rng.random(len(picked)) < 0.5)
        columns[mirrored] = columns[mirrored, ::-1]
        images = self._padded[picked[:, None, None], rows[:, :, None], columns[:, None, :]]
        return images.astype(np.float32), self._labels[picked]

    def on_epoch_end(self):
        """Shuffles."""
        self._order = self._rng.permutation(len(self._labels))


def build_resnet8(width=1.0, keras=keras):
    """ResNet-8 as in MLPerf Tiny (78,666 parameters), or ``width`` times as wide."""
    layers = keras.layers

    def conv(x, filters, size=3, strides=1):
        return layers.Conv2D(
            int(filters * width),
            size,
            strides,
            padding="same",
            kernel_initializer="he_normal",
        )(x)

    inputs = keras.Input((32, 32, 3))
    x = layers.ReLU()(layers.BatchNormalization()(conv(inputs, 16)))
    for filters, strides in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(layers.BatchNormalization()(conv(x, filters, strides=strides)))
        y = layers.BatchNormalization()(conv(y, filters))
        if strides != 1:
            x = conv(x, filters, size=1, strides=strides)
        x = layers.ReLU()(layers.Add()([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    outputs = layers.Dense(10, activation="softmax", kernel_initializer="he_normal")(x)
    return keras.Model(inputs, outputs, name="resnet8")


def compile_for(model, steps, learning_rate, warm_up=0.1):
    """SGD with momentum and a cosine schedule with warm-up; kernels decay, other weights do not."""
    warm = max(1, int(warm_up * steps))
    schedule = keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm), warmup_target=learning_rate, warmup_steps=warm
    )
    optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, weight_decay=5e-4)
    others = ["bias", "gamma", "beta", "scales", "thresholds", "factors"]
    optimizer.exclude_from_weight_decay(var_names=others)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])


def train(model, images, epochs, learning_rate, callbacks=()):
    """Trains on batches for a number of epochs, or a part of one."""
    steps = int(epochs * len(images))
    compile_for(model, steps, learning_rate)
    whole, rest = divmod(steps, len(images))
    if whole:
        model.fit(images, epochs=whole, verbose=2, callbacks=list(callbacks))
    if rest:
        model.fit(images, steps_per_epoch=rest, verbose=2, callbacks=list(callbacks))


def accuracy(model, x, y):
    """Top-1 accuracy."""
    return float(np.mean(np.argmax(model.predict(x, batch_size=500, verbose=0), 1) == y))
