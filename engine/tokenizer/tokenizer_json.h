// Hugging Face's tokenizer.json, as far as it describes a tokenizer of nanochat's kind.
#pragma once

#include <string>
#include <string_view>

#include "engine/tokenizer/tokenizer_file.h"

namespace kvproof {

/// Reads byte-level BPE: a model of type BPE over the byte alphabet; before it a Split by a regular expression (Isolated) and
/// a ByteLevel that only renames bytes; behind it the ByteLevel decoder; added tokens that are special, with any ids.
///
/// Whatever else would change ids or text is refused: normalizers, other pre-tokenizers and decoders, prefixes, suffixes,
/// dropout, byte_fallback, truncation, padding, added tokens that are not special. The post_processor is not read: special
/// tokens are put where they belong by who encodes a conversation.
/// Encoding text never gives special tokens, as with the library's encode_special_tokens = True, add_special_tokens=False.
///
/// place   the file's name, for messages
/// throws  TokenizerError: not JSON, a field that is missing or refused (named), ids that are not 0, 1, 2, …
TokenizerFile read_tokenizer_json(std::string_view text, const std::string& place);

}  // namespace kvproof
