"""all-MiniLM-L6-v2 as ONNX operations that compute in integers.

The weights are distributed as int8 inside a graph that turns them back into floats and multiplies those. Here the same
weights stand in a graph that multiplies the integers themselves and pools the vector at its end, which takes a third of
the time (docs/decisions/0002 has the figures). It reads one text at a time: activations are scaled by their largest
value, so a second text in the batch, or padding, would change the first one's vector.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from shared.onnx_format import Array, Node, read_tensors, write_model

#: Name of the graph's input: int64 (1, length), with the tokenizer's first and last special token.
TOKENS: Final = "input_ids"
#: Name of the graph's output: float32 (1, DIMENSIONS), of length one.
VECTOR: Final = "vector"

DIMENSIONS: Final = 384
LAYERS: Final = 6
HEADS: Final = 12
EPSILON: Final = 1e-12
#: ONNX's number for float32, which Cast wants.
FLOAT32: Final = 1

#: How the distributed model names its tensors. Its matrices have numbers for names, six a layer in this order:
#: query, key, value, attention output, intermediate, output.
PREFIX: Final = "inner."
MATRICES_PER_LAYER: Final = 6


def integer_graph(model: bytes) -> bytes:
    """The distributed model, rewritten. Raises ValueError if its tensors are not those of all-MiniLM-L6-v2."""
    weights = read_tensors(model)
    matrices = [name.removesuffix("_q") for name in weights if name.startswith("val_") and name.endswith("_q")]
    if len(matrices) != LAYERS * MATRICES_PER_LAYER:
        raise ValueError("the model does not hold the matrices of all-MiniLM-L6-v2")
    graph = _Graph(weights)
    hidden = graph.embed()
    for layer in range(LAYERS):
        first = layer * MATRICES_PER_LAYER
        hidden = graph.layer(hidden, f"encoder.layer.{layer}.", matrices[first : first + MATRICES_PER_LAYER])
    graph.pool(hidden)
    return write_model(graph.nodes, graph.tensors, TOKENS, VECTOR)


class _Graph:
    """Nodes and constants under construction. Each method adds operations and returns the name of their result."""

    def __init__(self, weights: Mapping[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[Node] = []
        self.tensors: dict[str, Array] = {}

    def embed(self) -> str:
        """Word plus position plus segment; word vectors stay int8 until they are looked up, a quarter of the memory."""
        words, positions = "embeddings.word_embeddings.weight", "embeddings.position_embeddings.weight"
        self.tensors["words"] = self.weights[f"{PREFIX}{words}_q"]
        self.tensors["word_scales"] = self.weights[f"{PREFIX}{words}_scale"]
        segment = self._weight("embeddings.token_type_embeddings.weight")[0]
        scaled = self.weights[f"{PREFIX}{positions}_q"] * self.weights[f"{PREFIX}{positions}_scale"]
        self.tensors["positions"] = (scaled + segment).astype(np.float32)
        self.tensors |= {name: np.array([n]) for name, n in (("zero", 0), ("one", 1), ("two", 2), ("last", -1))}

        self._node("Gather", ["words", TOKENS], "word_integers")
        self._node("Cast", ["word_integers"], "word_floats", to=FLOAT32)
        self._node("Gather", ["word_scales", TOKENS], "word_scale")
        self._node("Mul", ["word_floats", "word_scale"], "word_vectors")
        self._node("Shape", [TOKENS], "shape")
        self._node("Slice", ["shape", "one", "two"], "length")
        self._node("Slice", ["positions", "zero", "length", "zero"], "position_vectors")
        self._node("Add", ["word_vectors", "position_vectors"], "embedded")
        return self._normalised("embedded", "embeddings.LayerNorm")

    def layer(self, hidden: str, prefix: str, matrices: Sequence[str]) -> str:
        """One transformer layer."""
        *attention, intermediate, output = matrices
        middle = self._attention(hidden, f"{prefix}attention.", attention)
        return self._feed_forward(middle, prefix, intermediate, output)

    def _attention(self, hidden: str, prefix: str, matrices: Sequence[str]) -> str:
        """Self-attention, with queries, keys and values made in one product."""
        *projections, output = matrices
        parts = [f"{prefix}self.{part}" for part in ("query", "key", "value")]
        together, mixed, dense = f"{prefix}self", f"{prefix}mixed", f"{prefix}output.dense"
        self._product(hidden, projections, [f"{part}.bias" for part in parts], together)
        self.nodes.append(Node("Split", [together], parts, attributes={"axis": -1, "num_outputs": 3}))
        self._node("MultiHeadAttention", parts, mixed, "com.microsoft", num_heads=HEADS)
        self._product(mixed, [output], [f"{dense}.bias"], dense)
        self._node("Add", [dense, hidden], f"{prefix}sum")
        return self._normalised(f"{prefix}sum", f"{prefix}output.LayerNorm")

    def _feed_forward(self, middle: str, prefix: str, intermediate: str, output: str) -> str:
        """Two products with GELU between them. A few tokens light up far more than the others, whose values would be
        rounded away on a common scale: each token is scaled by its own largest value before the second product."""
        wide, active, dense = f"{prefix}intermediate.dense", f"{prefix}active", f"{prefix}output.dense"
        self._product(middle, [intermediate], [f"{wide}.bias"], wide)
        self._node("Gelu", [wide], active, "com.microsoft")
        self._node("Abs", [active], f"{active}.absolute")
        self._node("ReduceMax", [f"{active}.absolute", "last"], f"{active}.largest", keepdims=1)
        self._node("Div", [active, f"{active}.largest"], f"{active}.even")
        self._product(f"{active}.even", [output], [], f"{dense}.even")
        self._node("Mul", [f"{dense}.even", f"{active}.largest"], f"{dense}.scaled")
        self.tensors[f"{dense}.bias"] = self._weight(f"{dense}.bias")
        self._node("Add", [f"{dense}.scaled", f"{dense}.bias"], dense)
        self._node("Add", [dense, middle], f"{prefix}sum")
        return self._normalised(f"{prefix}sum", f"{prefix}output.LayerNorm")

    def pool(self, hidden: str) -> None:
        """Mean over all tokens, scaled to length one."""
        self._node("ReduceMean", [hidden, "one"], "mean", keepdims=0)
        self._node("LpNormalization", ["mean"], VECTOR, axis=-1, p=2)

    def _product(self, source: str, matrices: Sequence[str], biases: Sequence[str], result: str) -> None:
        """`source` times the matrices side by side; weights are int8 with one scale a column."""
        scales = [self.weights[f"{name}_scale"].reshape(-1) for name in matrices]
        self.tensors[f"{result}.weight"] = np.concatenate([self.weights[f"{name}_q"] for name in matrices], axis=1)
        self.tensors[f"{result}.scale"] = np.concatenate(scales)
        inputs = [source, f"{result}.weight", f"{result}.scale"]
        if biases:
            self.tensors[f"{result}.bias"] = np.concatenate([self._weight(name) for name in biases])
            inputs += ["", f"{result}.bias"]
        self._node("DynamicQuantizeMatMul", inputs, result, "com.microsoft")

    def _normalised(self, source: str, name: str) -> str:
        for part in ("weight", "bias"):
            self.tensors[f"{name}.{part}"] = self._weight(f"{name}.{part}")
        return self._node("LayerNormalization", [source, f"{name}.weight", f"{name}.bias"], name, epsilon=EPSILON)

    def _weight(self, name: str) -> Array:
        return self.weights[PREFIX + name]

    def _node(
        self, operator: str, inputs: Sequence[str], output: str, domain: str = "", **attributes: int | float
    ) -> str:
        self.nodes.append(Node(operator, inputs, [output], domain, attributes))
        return output
