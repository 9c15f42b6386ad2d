"""Processes of one run on several machines: started, watched, started again. No TensorFlow."""
