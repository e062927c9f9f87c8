#include "harness/build_info.h"

#include "harness/build_info_values.h"  // written by cmake/write_build_info.cmake

namespace kvproof {

const BuildInfo& build_info() {
  static const BuildInfo info{KVPROOF_VERSION,  KVPROOF_COMMIT,         KVPROOF_DIRTY,         KVPROOF_BUILD_TYPE,
                              KVPROOF_COMPILER, KVPROOF_COMPILER_FLAGS, KVPROOF_TORCH_VERSION, KVPROOF_SANITIZERS};
  return info;
}

}  // namespace kvproof
