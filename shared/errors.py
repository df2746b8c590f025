"""Everything Lectern raises on purpose.

LecternError
├── InvalidInput            422  the caller can mend it: a question, a path, a header
│   ├── ContentNotFound     404  the content folder or file is not there
│   └── BadArchive          422  a file is no archive of ours, or not whole
├── ConfigurationError      500  a setting is wrong; the process must not start
├── Unauthorized            401  no key, or a wrong one, on an admin route
├── NotFound                404  no such job, page or release
├── ReleaseGone             409  a release cannot be made live any more
├── PayloadTooLarge         413  the body is over the limit
├── RateLimited             429  carries the seconds to wait
├── Overloaded              503  more questions at once than the process can serve; retryable
├── PageError               422  one page cannot be indexed; the job names it and goes on
├── DependencyDown          503  Redis or Qdrant does not answer; retryable
│   ├── SchemaTooNew        503  a newer version of Lectern wrote the data
│   └── MustWait            503  the model provider has said when to come again; carries that time
├── ProviderError           502  the model provider said no, and asking again would not help
│   ├── EmbeddingRejected   502  one text cannot be embedded: blank, or too long for the model
│   ├── ProviderMalformed   502  the reply cannot be trusted: wrong size, count or shape
│   └── ProviderUnavailable 503  rate limit, 5xx, time-out; retryable
│       └── ProviderLimited 503  the provider limits the rate of requests or tokens
├── AnswerTruncated         502  a model's stream ended before its last word
├── LeaseLost               409  another process took this work over; stop without writing
├── JobStopped              409  the job was cancelled, paused or has ended; stop without writing
├── WrongState              409  a job cannot do that now; says what it can do
└── JobFailed               500  a job cannot go on; the reason is for its owner
"""

from __future__ import annotations

import time
from typing import ClassVar, Literal


class LecternError(Exception):
    """Base of all expected failures. The message holds no secret and no traceback: it is shown to the caller, or, where
    it is a model's failure, to the owner alone."""

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        #: Seconds after which asking again makes sense; None where nobody can know.
        self.retry_after = retry_after


class InvalidInput(LecternError):
    """Raised when the caller sent something that can be mended by sending something else."""

    code = "VALIDATION_ERROR"
    status = 422


class ContentNotFound(InvalidInput):
    """Raised when a content path is inside the content root and nothing is there."""

    code = "CONTENT_NOT_FOUND"
    status = 404


class BadArchive(InvalidInput):
    """Raised for a file that is not, or not wholly, what an export has written."""


class ConfigurationError(LecternError):
    """Raised at start-up for a setting that cannot work; one line naming the variable, the fault and an example."""

    code = "CONFIGURATION_ERROR"


class Unauthorized(LecternError):
    """Raised when an admin route is called without its key."""

    code = "UNAUTHORIZED"
    status = 401


class NotFound(LecternError):
    """Raised when a job, a page or a release does not exist."""

    code = "NOT_FOUND"
    status = 404


class ReleaseGone(LecternError):
    """Raised for a release that is being dropped, or whose passages are no longer in the index."""

    code = "RELEASE_GONE"
    status = 409


class PayloadTooLarge(LecternError):
    """Raised when a request body is over the route's limit."""

    code = "PAYLOAD_TOO_LARGE"
    status = 413


class RateLimited(LecternError):
    """Raised when a client has used up its window; `retry_after` says for how long."""

    code = "RATE_LIMIT"
    status = 429
    retryable = True


class Overloaded(LecternError):
    """Raised for a question that would wait too long for its turn."""

    code = "OVERLOADED"
    status = 503
    retryable = True


class PageError(LecternError):
    """Raised when one page cannot be indexed. The job records it with the page's path and goes on."""

    code = "INGESTION_ERROR"
    status = 422


class DependencyDown(LecternError):
    """Raised when Redis or Qdrant cannot be reached."""

    code = "VECTOR_STORE_ERROR"
    status = 503
    retryable = True


class SchemaTooNew(DependencyDown):
    """Raised for data of a newer schema than this process knows. Retryable: another process may be new enough."""


class MustWait(DependencyDown):
    """Raised for work that the model provider's limits put off. No failure: it is given back, and rung for again."""

    code = "MODEL_UNAVAILABLE"

    def __init__(self, message: str, *, until: float) -> None:
        super().__init__(message, retry_after=max(0.0, until - time.time()))
        #: Seconds since the epoch.
        self.until = until


class ProviderError(LecternError):
    """Raised when the model provider refuses for good: a wrong key, an unknown model, a used-up quota."""

    code = "MODEL_ERROR"
    status = 502
    #: What has to change before asking again makes sense; "" where nobody can say, or where time alone may do.
    blames: Literal["", "request", "model", "account"] = ""


class EmbeddingRejected(ProviderError):
    """Raised when one text cannot be embedded: it is blank, or the provider refuses it. The others may be fine."""

    code = "EMBEDDING_REJECTED"

    def __init__(self, message: str, *, index: int) -> None:
        super().__init__(message)
        #: Position of the text among those that were given.
        self.index = index


class ProviderMalformed(ProviderError):
    """Raised when the provider's reply has the wrong shape, count or vector size. Nothing of it is stored."""

    code = "MODEL_MALFORMED"


class ProviderUnavailable(ProviderError):
    """Raised when the provider is busy or broken, after the retries that were worth making."""

    code = "MODEL_UNAVAILABLE"
    status = 503
    retryable = True


class ProviderLimited(ProviderUnavailable):
    """Raised when the provider limits the rate of requests or tokens; `retry_after` is its own word, where given."""


class AnswerTruncated(LecternError):
    """Raised when a model's stream ends without saying that it has finished."""

    code = "UPSTREAM_TRUNCATED"
    status = 502
    retryable = True


class LeaseLost(LecternError):
    """Raised inside a worker when its claim on a job has passed to another process."""

    code = "LEASE_LOST"
    status = 409
    retryable = True


class JobStopped(LecternError):
    """Raised inside a worker when the owner has cancelled or paused the job it works on, or when that has ended."""

    code = "JOB_STOPPED"
    status = 409


class WrongState(LecternError):
    """Raised for a wish that a job in its state cannot be granted, such as to cancel one that has ended."""

    code = "CONFLICT"
    status = 409


class JobFailed(LecternError):
    """Raised when a job cannot go on; the message becomes the job's reason."""

    code = "INGESTION_ERROR"
