"""The build script: makes, checks and publishes the versioned SavedModels that TensorFlow Serving hosts."""
