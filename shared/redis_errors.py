"""Redis's failures as Lectern's own."""

from __future__ import annotations

from redis.exceptions import RedisError

from shared.errors import DependencyDown


class redis_errors:  # reads as the context manager it is
    """Translate the client's errors: Redis not answering is a state of the world, not a bug."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if isinstance(error, RedisError | OSError):
            raise DependencyDown("Redis does not answer", retry_after=5) from error
