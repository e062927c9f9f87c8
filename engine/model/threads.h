// How many threads a forward may use: one number for the process, whichever backend computes.
#pragma once

namespace kvproof {

/// Sets the number; 0 leaves it as it is. At first it is LibTorch's own choice, which follows OMP_NUM_THREADS.
/// returns the number in force
int set_threads(int threads);

/// While any of these lives, LibTorch computes with one thread: who holds it brings threads of its own, and two pools
/// would wait for each other on the same cores.
class OneLibtorchThread {
 public:
  OneLibtorchThread();
  ~OneLibtorchThread();
  OneLibtorchThread(const OneLibtorchThread&) = delete;
  OneLibtorchThread& operator=(const OneLibtorchThread&) = delete;
};

}  // namespace kvproof
