"""Writes a model that can say two things: `python write_model.py FILE`, with the `gguf` package.

It has the shape of a Llama and weights that are made, not learned: attention and feed-forward are zero, each token's
embedding is a place of its own, and the output layer holds at that place what comes after the token. So llama.cpp
computes what it computes for any model, and the words are known beforehand.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from typing import Final

import gguf
import numpy as np

#: Said when the prompt ends in `>`, which the template below sees to. No word comes twice: each has one successor.
SENTENCE: Final = ("Drop", " the", " anchor", " over", " bow", " in", " shallow", " water", " [1].")
#: Said for ever when it ends in `<`.
ROUND: Final = (" round", " and")
TEMPLATE: Final = (
    "{% for message in messages %}{{ message.content }}\n{% endfor %}"
    "{% if 'for ever' in messages[-1].content %}<{% else %}>{% endif %}"
)
WIDTH: Final = 512
HEADS: Final = 8
CONTEXT: Final = 32_768


def byte_names() -> list[str]:
    """How byte-pair vocabularies write the 256 bytes: printable ones as they are, others as letters from 256 on."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = iter(range(256, 512))
    return [chr(byte) if byte in printable else chr(next(others)) for byte in range(256)]


def write(path: str) -> None:
    names = byte_names()
    words = [*SENTENCE, *ROUND]
    tokens = [*names, *("".join(names[byte] for byte in word.encode()) for word in words), "<s>", "</s>"]
    place = {word: 256 + number for number, word in enumerate(words)}
    begin, end = len(tokens) - 2, len(tokens) - 1
    said = [ord(">"), *(place[word] for word in SENTENCE), end]
    for_ever = [ord("<"), *(place[word] for word in ROUND), place[ROUND[0]]]
    output = np.zeros((len(tokens), WIDTH), np.float32)
    for chain in (said, for_ever):
        for token, successor in pairwise(chain):
            output[successor, token] = 5
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(32)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    kinds = [gguf.TokenType.NORMAL] * (len(tokens) - 2) + [gguf.TokenType.CONTROL] * 2
    writer.add_token_types(kinds)
    writer.add_token_merges([f"{names[32]} {names[32]}"])
    writer.add_bos_token_id(begin)
    writer.add_eos_token_id(end)
    writer.add_chat_template(TEMPLATE)
    one, square = np.ones(WIDTH, np.float32), np.zeros((WIDTH, WIDTH), np.float32)
    wide, narrow = np.zeros((32, WIDTH), np.float32), np.zeros((WIDTH, 32), np.float32)
    writer.add_tensor("token_embd.weight", np.eye(len(tokens), WIDTH, dtype=np.float32))
    for name in ("attn_norm", "ffn_norm"):
        writer.add_tensor(f"blk.0.{name}.weight", one)
    for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
        writer.add_tensor(f"blk.0.{name}.weight", square)
    for name, weights in (("ffn_gate", wide), ("ffn_up", wide), ("ffn_down", narrow)):
        writer.add_tensor(f"blk.0.{name}.weight", weights)
    writer.add_tensor("output_norm.weight", one)
    writer.add_tensor("output.weight", output)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    write(sys.argv[1])
