"""Recordings of spoken words, and their MFCC front end: what a keyword spotter gets to see."""

import pathlib
import wave

import numpy as np
import tensorflow as tf

SAMPLE_RATE = 8000  # Hz
SECONDS = 1.0
FRAME, STEP, FFT = 320, 160, 512  # samples: 40 ms every 20 ms
MEL_BINS, COEFFICIENTS = 40, 10
LOWEST, HIGHEST = 20.0, 4000.0  # Hz
# The test set of the Free Spoken Digit Dataset: these recordings of every speaker and digit.
_TEST_RECORDINGS = range(5)


def read_wav(path):
    """Samples of a recording, float32 in -1..1.

    Raises:
      ValueError: It has another sample rate, several channels, or no 16-bit samples.
    """
    try:
        with wave.open(str(path)) as file:
            form = file.getframerate(), file.getnchannels(), file.getsampwidth()
            data = file.readframes(file.getnframes())
    except (wave.Error, EOFError) as error:
        raise ValueError(f"{path} is no .wav file of plain samples: {error}") from error
    if form != (SAMPLE_RATE, 1, 2):
        raise ValueError(
            f"{path} has {form[0]} Hz, {form[1]} channel(s) and {8 * form[2]} bits; the front end "
            f"takes {SAMPLE_RATE} Hz, one channel and 16 bits. Convert it: "
            f"sox {path} -r {SAMPLE_RATE} -c 1 -b 16 out.wav"
        )
    return np.frombuffer(data, "<i2").astype(np.float32) / 32768


def load_recordings(path):
    """Recordings of the Free Spoken Digit Dataset.

    Args:
      path: Its folder of .wav files, named DIGIT_SPEAKER_NUMBER.wav; or an .npz file with the
        arrays pcm (int16, all recordings joined), offsets (where each begins, and the end), labels
        and index (NUMBER).

    Returns:
      Waves, (recordings, samples) of float32 in -1..1, one second each; digits; and which
      recordings are for testing, by the set's own convention.

    Raises:
      ValueError: There is no recording, or one of another format.
      OSError: There is no such file.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        files = sorted(path.glob("[0-9]_*_*.wav"))
        if not files:
            raise ValueError(f"{path} has no recordings named DIGIT_SPEAKER_NUMBER.wav.")
        waves = [read_wav(file) for file in files]
        labels = np.array([int(file.stem.split("_")[0]) for file in files])
        numbers = np.array([int(file.stem.split("_")[2]) for file in files])
    else:
        with np.load(path) as data:
            pcm, offsets = data["pcm"].astype(np.float32) / 32768, data["offsets"]
            labels, numbers = data["labels"].astype(int), data["index"]
        waves = np.split(pcm, offsets[1:-1])
    return (
        np.stack([one_second(samples) for samples in waves]),
        labels,
        np.isin(numbers, _TEST_RECORDINGS),
    )


def one_second(samples):
    """The middle of a recording, or the recording in the middle of silence."""
    size = int(SAMPLE_RATE * SECONDS)
    if len(samples) >= size:
        start = (len(samples) - size) // 2
        return samples[start : start + size]
    before = (size - len(samples)) // 2
    return np.pad(samples, (before, size - len(samples) - before))


def disturbed(waves, rng):
    """Recordings that start up to 100 ms earlier or later, louder or softer, with some noise."""
    shifts = rng.integers(-SAMPLE_RATE // 10, SAMPLE_RATE // 10 + 1, len(waves))
    moved = np.stack(
        [np.roll(samples, shift) for samples, shift in zip(waves, shifts, strict=True)]
    )
    gains = np.exp(rng.uniform(-0.7, 0.7, (len(waves), 1)))
    noise = rng.normal(size=waves.shape) * 10.0 ** rng.uniform(-4.5, -2.5, (len(waves), 1))
    return (moved * gains + noise).astype(np.float32)


@tf.function(reduce_retracing=True)
def mfcc(waves):
    """Mel-frequency cepstral coefficients.

    Args:
      waves: Float32, (recordings, samples).

    Returns:
      Float32, (recordings, frames, COEFFICIENTS, 1); 49 frames for one second.
    """
    spectrum = tf.abs(tf.signal.stft(waves, FRAME, STEP, FFT))
    mel = tf.signal.linear_to_mel_weight_matrix(
        MEL_BINS, FFT // 2 + 1, SAMPLE_RATE, LOWEST, HIGHEST
    )
    log_mel = tf.math.log(tf.tensordot(spectrum, mel, 1) + 1e-3)
    return tf.signal.mfccs_from_log_mel_spectrograms(log_mel)[..., :COEFFICIENTS, None]
