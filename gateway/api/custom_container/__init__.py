"""The routes that SageMaker and Vertex AI ask of a container: other names of /readyz and of TensorFlow Serving's routes."""
