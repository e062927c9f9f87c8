// The bytes of generations/, included as they are. KVPROOF_VECTORS is that folder, in quotes.
// Tensors are read where they lie: a file starts at a multiple of 64 bytes, as torch.save aligns its records.

#if defined(__APPLE__)
.macro label symbol
  .globl _\symbol
  .private_extern _\symbol
_\symbol:
.endm
.section __TEXT,__const
#else
.macro label symbol
  .globl \symbol
  .hidden \symbol
\symbol:
.endm
.section .note.GNU-stack,"",%progbits
.section .rodata
#endif

.macro embed symbol, root, file
  .p2align 6
  label \symbol
  .incbin "\root/\file"
  label \symbol\()_end
.endm

.macro generation symbol, root, folder
  embed \symbol\()_model, "\root", "\folder/base_checkpoints/d4/model_000050.pt"
  embed \symbol\()_meta, "\root", "\folder/base_checkpoints/d4/meta_000050.json"
  embed \symbol\()_tokenizer, "\root", "\folder/tokenizer/tokenizer.pkl"
  embed \symbol\()_outputs, "\root", "\folder/golden.json"
  embed \symbol\()_tensors, "\root", "\folder/golden.pt"
.endm

#define GENERATION(symbol, folder) generation symbol, KVPROOF_VECTORS, folder
#include "harness/verify/vectors/generations.inc"
