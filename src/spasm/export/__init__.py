"""A trained run as files for other programs: an ONNX network, and a page that runs it in a browser."""
