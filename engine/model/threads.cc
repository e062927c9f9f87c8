#include "engine/model/threads.h"

#include <ATen/Parallel.h>

#include <mutex>

namespace kvproof {
namespace {

struct Threads {
  std::mutex mutex;
  int number = at::get_num_threads();
  int holders = 0;  // of OneLibtorchThread

  void apply() {
    const int libtorch = holders > 0 ? 1 : number;
    if (at::get_num_threads() != libtorch) at::set_num_threads(libtorch);
  }
};

Threads& threads() {
  static Threads threads;
  return threads;
}

void hold(int count) {
  const std::lock_guard lock(threads().mutex);
  threads().holders += count;
  threads().apply();
}

}  // namespace

int set_threads(int number) {
  const std::lock_guard lock(threads().mutex);
  if (number > 0) {
    threads().number = number;
    threads().apply();
  }
  return threads().number;
}

OneLibtorchThread::OneLibtorchThread() { hold(1); }
OneLibtorchThread::~OneLibtorchThread() { hold(-1); }

}  // namespace kvproof
