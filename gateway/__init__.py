"""The HTTP process: validates each request against the model's own signature and forwards tensors over gRPC.

It never loads TensorFlow's runtime.
"""
