"""What is counted while a model is served, for Prometheus."""

import prometheus_client


class Metrics:
    """The metrics at `/monitoring/prometheus/metrics`.

    Args:
        max_batch_size: rows of the largest batch.
    """

    def __init__(self, max_batch_size: int):
        self.registry = registry = prometheus_client.CollectorRegistry()
        prometheus_client.ProcessCollector(registry=registry)
        self.requests = prometheus_client.Counter(
            "roots_serving_requests", "Answered requests", ["route", "status"], registry=registry
        )
        self.in_progress = prometheus_client.Gauge(
            "roots_serving_requests_in_progress", "Requests not yet answered", registry=registry
        )
        self.seconds = prometheus_client.Histogram(
            "roots_serving_predict_seconds",
            "From the request's headers to its answer",
            buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
            registry=registry,
        )
        self.batch_rows = prometheus_client.Histogram(
            "roots_serving_batch_rows",
            "Rows computed at once",
            buckets=[2**i for i in range((max_batch_size - 1).bit_length() + 1)],
            registry=registry,
        )
        self.queue_rows = prometheus_client.Gauge(
            "roots_serving_queue_rows", "Rows that wait to be computed", registry=registry
        )
        self.connections = prometheus_client.Gauge(
            "roots_serving_connections", "Open connections", registry=registry
        )
        self.closed = prometheus_client.Counter(
            "roots_serving_closed_connections",
            "Connections that the server closed although the client would have kept them",
            ["reason"],
            registry=registry,
        )
        self.memory = prometheus_client.Gauge(
            "roots_serving_memory_bytes", "What requests and answers take", registry=registry
        )
