// Configs out of strings: written to a folder of the test's own, and its name cut out of what comes back.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <unistd.h>

#include "harness/config/config.h"
#include "harness/error.h"

namespace kvproof::testing {

class ConfigFolder {
 public:
  ConfigFolder() {
    static int count = 0;
    dir_ = std::filesystem::temp_directory_path() /
           ("kvproof_config_" + std::to_string(::getpid()) + "_" + std::to_string(count++));
    std::filesystem::create_directories(dir_);
  }
  ~ConfigFolder() { std::filesystem::remove_all(dir_); }
  ConfigFolder(const ConfigFolder&) = delete;

  const std::filesystem::path& dir() const { return dir_; }

  std::filesystem::path write(const std::string& text, const std::string& name = "bad.yaml") const {
    std::ofstream(dir_ / name, std::ios::binary) << text;
    return dir_ / name;
  }

 private:
  std::filesystem::path dir_;
};

inline LoadedConfig load_text(const std::string& text, const std::vector<std::string>& sets = {}) {
  const ConfigFolder folder;
  return load_config(folder.write(text), sets);
}

/// What loading says, with "bad.yaml" for the file; "loaded" where nothing is wrong.
inline std::string fault_of(const std::string& text, const std::vector<std::string>& sets = {}) {
  const ConfigFolder folder;
  const std::string prefix = folder.dir().string() + "/";
  try {
    load_config(folder.write(text), sets);
    return "loaded";
  } catch (const ConfigError& error) {
    std::string message = error.what();
    for (auto at = message.find(prefix); at != std::string::npos; at = message.find(prefix))
      message.erase(at, prefix.size());
    return message;
  }
}

inline std::vector<std::string> ids_of(const LoadedConfig& loaded) {
  std::vector<std::string> ids;
  for (const Case& c : loaded.cases) ids.push_back(c.id);
  return ids;
}

/// A checkpoint on line 1 and a prompt on line 2; what is tested begins on line 3.
inline const std::string kTop = "checkpoints: [{name: m, synthetic: d4}]\nprompts: [{name: p, text: hi}]\n";

}  // namespace kvproof::testing
