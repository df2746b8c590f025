"""What Prometheus can ask of one API process. Labels are route templates, never addresses that visitors make up."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.gc_collector import GCCollector
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

#: Seconds: from an answer out of the index to one of a slow model.
ANSWER_BUCKETS = (0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 10, 20, 30, 60, 120)


class Metrics:
    """A registry of its own, so that two applications in one process do not share counts."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        self.requests = Counter(
            "http_requests", "Requests answered", ["method", "route", "status"], registry=self.registry
        )
        self.request_seconds = Histogram(
            "http_request_duration_seconds", "Until the answer's last byte", ["route"], registry=self.registry
        )
        self.connections = Gauge("active_connections", "Requests being answered now", registry=self.registry)
        self.chats = Counter(
            "chat_requests", "Questions by how they ended", ["dialect", "outcome"], registry=self.registry
        )
        self.chat_seconds = Histogram(
            "chat_duration_seconds", "Until an answer's end", buckets=ANSWER_BUCKETS, registry=self.registry
        )
        self.first_word_seconds = Histogram(
            "chat_first_word_seconds", "Until an answer's first word", buckets=ANSWER_BUCKETS, registry=self.registry
        )

        self.kept_answers = Counter(
            "answer_cache", "Questions by what the answer cache did for them", ["result"], registry=self.registry
        )
        self.unlogged_questions = Counter(
            "question_log_dropped", "Questions that the log had no room for", registry=self.registry
        )

        # Of the whole system, and the same in every API process: as it was last asked for.
        self.queue_messages = Gauge("ingest_queue_messages", "Messages that wait for a worker", registry=self.registry)
        self.queue_oldest_seconds = Gauge(
            "ingest_queue_oldest_seconds", "Age of the message that has waited longest", registry=self.registry
        )
        self.workers = Gauge("ingest_workers", "Workers that take messages", registry=self.registry)
        self.jobs = Gauge("ingest_jobs", "Jobs that have not ended", ["state"], registry=self.registry)
        self.oldest_job_seconds = Gauge(
            "ingest_oldest_job_seconds", "Age of the oldest job that has not ended", registry=self.registry
        )

    def count_kept(self, result: str) -> None:
        self.kept_answers.labels(result).inc()

    def text(self) -> bytes:
        """Everything in Prometheus's text format."""
        return generate_latest(self.registry)
