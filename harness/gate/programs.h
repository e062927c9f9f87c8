// The programs of a comparison as files: the candidate, the base, and the base's copy for the control.
#pragma once

#include <filesystem>
#include <functional>
#include <optional>
#include <string>

namespace kvproof {

/// This program's own file. throws RecordError: the system does not tell
std::filesystem::path own_program();

/// throws NoBaselineError (place: name): no such file, a folder, not executable
void require_program(const std::filesystem::path& file, const std::string& name);

/// A folder that nobody else has, which ends with this object.
class WorkFolder {
 public:
  /// throws RecordError, with the remedy: it cannot be made
  WorkFolder(const std::filesystem::path& parent, const std::string& prefix, const std::string& remedy);
  ~WorkFolder();
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;

  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// A copy of a program in a folder of its own, which ends with this object; where its process was killed, with the next copy
/// that is made.
class ProgramCopy {
 public:
  /// throws RecordError: it cannot be read, or the folder for temporary files cannot be written
  explicit ProgramCopy(const std::filesystem::path& program);

  const std::filesystem::path& file() const { return file_; }

 private:
  const WorkFolder folder_;
  const std::filesystem::path file_;
};

/// Where programs of commits are kept: $XDG_CACHE_HOME/kvproof/programs, or below ~/.cache.
std::filesystem::path program_cache();

/// A commit as git has it.
struct Commit {
  std::filesystem::path repository;  // its top folder
  std::string hash;                  // 40 digits
};

/// throws NoBaselineError (place: ref): no repository here that git reads (with git's words), git is missing, no such
///        commit; in a shallow clone with what makes it whole (fetch-depth: 0)
Commit find_commit(const std::string& ref, const std::filesystem::path& folder = ".");

/// The program of a commit out of the cache; absent: it has not been built there as this
/// program was (build type, compiler and its flags, LibTorch).
std::optional<std::filesystem::path> cached_program(const Commit& commit);

/// Keeps this program in the cache as its commit's. returns where; absent: its commit is not known, or what it was built from
/// was changed since. throws RecordError: the cache cannot be written
std::optional<std::filesystem::path> keep_own_program();

/// The program of a commit, built where the cache has none: from a clone of its own, with this program's build type; the
/// repository is only read. Several may build one commit at a time.
///
/// say     told what goes on
/// throws  NoBaselineError (place: the commit): it cannot be built, or was ended; with the end of the log and where it lies
/// cost    a build; nothing where it was built before
std::filesystem::path program_of(const Commit& commit, const std::function<void(const std::string&)>& say);

}  // namespace kvproof
