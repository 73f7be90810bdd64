"""What several folders need and no one owns: files, flatbuffers, samples, names of types."""
