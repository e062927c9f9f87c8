// The bytes of generations/, included as they are. KVPROOF_VECTORS is that folder, in quotes.
#include "harness/embed.inc"

.macro generation symbol, root, folder
  embed \symbol\()_model, "\root", "\folder/base_checkpoints/d4/model_000050.pt"
  embed \symbol\()_meta, "\root", "\folder/base_checkpoints/d4/meta_000050.json"
  embed \symbol\()_tokenizer, "\root", "\folder/tokenizer/tokenizer.pkl"
  embed \symbol\()_outputs, "\root", "\folder/golden.json"
  embed \symbol\()_tensors, "\root", "\folder/golden.pt"
.endm

#define GENERATION(symbol, folder) generation symbol, KVPROOF_VECTORS, folder
#include "harness/verify/vectors/generations.inc"
