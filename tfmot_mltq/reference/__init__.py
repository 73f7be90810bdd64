"""The arithmetic of the operators in NumPy: the same bits as the C core."""
