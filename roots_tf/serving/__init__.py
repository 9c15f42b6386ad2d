"""An exported model behind HTTP, with the REST API of TensorFlow Serving."""
