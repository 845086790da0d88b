"""Transformers as ONNX graphs: text in, vectors, labels or scores out. Rule: every array's shape is said."""
