"""Programs for microcontrollers under QEMU."""
