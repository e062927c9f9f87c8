// What this program was built from and with: for --version and for every record.
#pragma once

#include <string>

namespace kvproof {

struct BuildInfo {
  std::string version;         ///< of the project: "0.1.0"
  std::string commit;          ///< 40 hex digits, or "unknown" where the sources are no git checkout
  bool dirty;                  ///< tracked files differed from that commit when this was built
  std::string build_type;      ///< CMake's: "Release"
  std::string compiler;        ///< "GNU 12.2.0"
  std::string compiler_flags;  ///< as given for this build type: "-O3 -DNDEBUG"
  std::string torch_version;   ///< of the LibTorch it was built against: "2.13.0"
  std::string sanitizers;      ///< "address,undefined", or empty
};

/// The same object for the life of the program.
const BuildInfo& build_info();

}  // namespace kvproof
