#include "engine/checkpoint/locate.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <set>

#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

namespace fs = std::filesystem;

struct Source {
  const char* name;
  const char* folder;
};
// In the order of preference: the most trained first.
constexpr std::array<Source, 4> kSources = {{{"sft", "chatsft_checkpoints"},
                                             {"rl", "chatrl_checkpoints"},
                                             {"mid", "mid_checkpoints"},
                                             {"base", "base_checkpoints"}}};

// Hugging Face's layout. Where there are both, transformers too takes the first.
constexpr std::array<const char*, 2> kSafetensors = {"model.safetensors", "model.safetensors.index.json"};
constexpr const char* kConfig = "config.json";

constexpr size_t kListed = 8;  // names in one message

struct TagFolder {
  std::string name;
  fs::file_time_type modified;
  std::set<int64_t> steps;             // with both files
  std::vector<std::string> leftovers;  // a model or a meta file alone
};

struct SourceFolder {
  Source source;
  bool exists = false;
  std::vector<TagFolder> tags;  // by name
};

bool is_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string model_name(int64_t step) { return fmt::format("model_{:06}.pt", step); }
std::string meta_name(int64_t step) { return fmt::format("meta_{:06}.json", step); }

// The step of "model_000050.pt", if that is how nanochat would write the name.
std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "model_", kSuffix = ".pt";
  if (name.size() < kPrefix.size() + kSuffix.size() + 1 || name.size() > 24) return std::nullopt;
  const std::string digits = name.substr(kPrefix.size(), name.size() - kPrefix.size() - kSuffix.size());
  if (!is_digits(digits)) return std::nullopt;
  const int64_t step = std::stoll(digits);
  return model_name(step) == name ? std::optional(step) : std::nullopt;
}

bool is_filled_file(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error) && fs::file_size(path, error) > 0 && !error;
}

bool is_folder(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    names.push_back(it->path().filename().string());
  }
  if (error) throw CheckpointError(folder.string(), fmt::format("the folder cannot be read: {}", error.message()));
  std::sort(names.begin(), names.end());
  return names;
}

TagFolder scan_tag(const fs::path& folder) {
  std::error_code error;
  TagFolder tag{folder.filename().string(), fs::last_write_time(folder, error), {}, {}};
  for (const auto& name : names_in(folder)) {
    if (name.rfind("meta_", 0) == 0) {
      const std::string model = "model_" + name.substr(5, name.find('.') - 5) + ".pt";
      std::error_code missing;  // an empty model says so itself, below
      if (!fs::exists(folder / model, missing)) tag.leftovers.push_back(fmt::format("{} without {}", name, model));
    }
    const auto step = step_of(name);
    if (!step) continue;
    const std::string meta = meta_name(*step);
    if (is_filled_file(folder / name) && is_filled_file(folder / meta))
      tag.steps.insert(*step);
    else
      tag.leftovers.push_back(!is_filled_file(folder / name)        ? name + " is empty"
                              : fs::exists(folder / meta, error) ? meta + " is empty"
                                                                 : fmt::format("{} without {}", name, meta));
  }
  return tag;
}

std::vector<SourceFolder> scan(const fs::path& base_dir) {
  std::vector<SourceFolder> sources;
  for (const auto& source : kSources) {
    SourceFolder found{source, is_folder(base_dir / source.folder), {}};
    if (found.exists) {
      for (const auto& name : names_in(base_dir / source.folder)) {
        if (is_folder(base_dir / source.folder / name)) found.tags.push_back(scan_tag(base_dir / source.folder / name));
      }
    }
    sources.push_back(std::move(found));
  }
  return sources;
}

// --- what to choose -----------------------------------------------------------------------------------------------

bool fits(const TagFolder& tag, const CheckpointRequest& request) {
  if (request.tag && tag.name != *request.tag) return false;
  return request.step ? tag.steps.count(*request.step) > 0 : !tag.steps.empty();
}

// The digits of a name that begins with d<number>, without leading zeros: longer is larger, then by character.
std::optional<std::string> depth_of(const std::string& name) {
  if (name.size() < 2 || name[0] != 'd') return std::nullopt;
  size_t end = 1;
  while (end < name.size() && is_digits(name.substr(end, 1))) ++end;
  if (end == 1) return std::nullopt;
  const size_t begin = std::min(name.find_first_not_of('0', 1), end);
  return name.substr(begin, end - begin);
}

bool smaller_depth(const std::string& a, const std::string& b) {
  return a.size() != b.size() ? a.size() < b.size() : a < b;
}

const SourceFolder* choose_source(const std::vector<SourceFolder>& sources, const CheckpointRequest& request,
                                  std::vector<std::string>& guesses) {
  std::vector<const SourceFolder*> present;
  for (const auto& source : sources) {
    const bool wanted = !request.source || *request.source == source.source.name;
    const bool has_one =
        std::any_of(source.tags.begin(), source.tags.end(), [&](const auto& tag) { return fits(tag, request); });
    if (wanted && has_one) present.push_back(&source);
  }
  if (present.empty()) return nullptr;
  if (!request.source) {
    std::vector<std::string> names;
    for (const auto* source : present) names.push_back(source->source.name);
    guesses.push_back(names.size() == 1 ? fmt::format("source {}: the only one present", names[0])
                                        : fmt::format("source {}: the first of {}", names[0], fmt::join(names, ", ")));
  }
  return present.front();
}

const TagFolder& choose_tag(const SourceFolder& source, const CheckpointRequest& request,
                            std::vector<std::string>& guesses) {
  std::vector<const TagFolder*> fitting, numbered;
  std::vector<std::string> names, skipped;
  for (const auto& tag : source.tags) {
    if (!fits(tag, request)) {
      if (depth_of(tag.name)) skipped.push_back(tag.name);
      continue;
    }
    fitting.push_back(&tag);
    names.push_back(tag.name);
    if (depth_of(tag.name)) numbered.push_back(&tag);
  }
  // max_element gives the first of equals: walk backwards, so that the last by name wins.
  const auto largest = std::max_element(numbered.rbegin(), numbered.rend(), [](const auto* a, const auto* b) {
    return smaller_depth(*depth_of(a->name), *depth_of(b->name));
  });
  const auto newest = std::max_element(fitting.rbegin(), fitting.rend(),
                                       [](const auto* a, const auto* b) { return a->modified < b->modified; });
  const TagFolder& chosen = numbered.empty() ? **newest : **largest;
  if (!request.tag) {
    const char* rule = numbered.empty() ? "modified last" : "the largest d<number>";
    auto guess = names.size() == 1 ? fmt::format("tag {}: the only one", chosen.name)
                                   : fmt::format("tag {}: {} of {}", chosen.name, rule, listed(names, kListed));
    if (!skipped.empty()) guess += fmt::format("; without a fitting checkpoint: {}", listed(skipped, kListed));
    guesses.push_back(std::move(guess));
  }
  return chosen;
}

int64_t choose_step(const TagFolder& tag, const CheckpointRequest& request, std::vector<std::string>& guesses) {
  if (request.step) return *request.step;
  const int64_t largest = *tag.steps.rbegin();
  guesses.push_back(tag.steps.size() == 1 ? fmt::format("step {}: the only one", largest)
                                          : fmt::format("step {}: the largest of {}", largest, tag.steps.size()));
  return largest;
}

// --- Hugging Face's layout ------------------------------------------------------------------------------------------

// Nothing where a folder is none of these, or one of nanochat's as well.
std::optional<CheckpointLocation> huggingface_in(const fs::path& base_dir, const std::vector<SourceFolder>& sources) {
  const auto exists = [](const SourceFolder& source) { return source.exists; };
  std::error_code error;
  if (std::any_of(sources.begin(), sources.end(), exists) || !fs::exists(base_dir / kConfig, error)) return std::nullopt;
  for (const char* name : kSafetensors) {
    if (!fs::exists(base_dir / name, error)) continue;
    CheckpointLocation location;
    location.layout = CheckpointLayout::huggingface;
    location.base_dir = base_dir;
    location.model_file = base_dir / name;
    location.meta_file = base_dir / kConfig;
    if (fs::exists(base_dir / "tokenizer.json", error)) location.tokenizer_dir = base_dir;
    return location;
  }
  return std::nullopt;
}

void refuse_choices(const CheckpointRequest& request, const CheckpointLocation& location) {
  const auto refuse = [&](const char* what) {
    throw ArgumentError(what, fmt::format("cannot be chosen: {} is one checkpoint in Hugging Face's layout ({} and {}); "
                                          "leave it out",
                                          location.base_dir.string(), kConfig, location.model_file.filename().string()));
  };
  if (request.source) refuse("source");
  if (request.tag) refuse("tag");
  if (request.step) refuse("step");
}

// "; config.json without safetensors …", where half of such a checkpoint is there.
std::string half_of_huggingface(const fs::path& base_dir) {
  std::error_code error;
  if (fs::exists(base_dir / kConfig, error)) {
    return fmt::format("; beside {} neither {} nor {} is there: save it with transformers' save_pretrained", kConfig,
                       kSafetensors[0], kSafetensors[1]);
  }
  for (const char* name : kSafetensors) {
    if (fs::exists(base_dir / name, error))
      return fmt::format("; {} needs the {} that was saved with it: copy that too", name, kConfig);
  }
  return "";
}

// --- what to say when there is none -------------------------------------------------------------------------------

struct BaseDir {
  fs::path path;
  const char* origin;  // how we came by it, for messages
};

BaseDir base_dir_of(const CheckpointRequest& request) {
  if (!request.base_dir.empty()) return {request.base_dir, ""};
  const char* named = std::getenv("NANOCHAT_BASE_DIR");
  if (named && *named) return {named, " (from $NANOCHAT_BASE_DIR)"};
  const char* home = std::getenv("HOME");
  if (home && *home) return {fs::path(home) / ".cache" / "nanochat", " (nanochat's default)"};
  throw CheckpointError("", "no base directory: neither $NANOCHAT_BASE_DIR nor $HOME is set; pass --base-dir");
}

// "; it lies in a base directory itself: try --base-dir X", if the folder given is one of nanochat's inner folders.
std::string inner_folder_hint(const fs::path& base_dir) {
  fs::path folder = fs::absolute(base_dir).lexically_normal();
  if (folder.filename().empty()) folder = folder.parent_path();
  for (int up = 0; up < 2; ++up, folder = folder.parent_path()) {
    for (const auto& source : kSources) {
      if (folder.filename() == source.folder) {
        return fmt::format("; the base directory is further up: try --base-dir {}", folder.parent_path().string());
      }
    }
  }
  return "";
}

std::string describe_request(const CheckpointRequest& request) {
  std::vector<std::string> parts;
  if (request.source) parts.push_back("source " + *request.source);
  if (request.tag) parts.push_back("tag " + quote(*request.tag));
  if (request.step) parts.push_back(fmt::format("step {}", *request.step));
  return parts.empty() ? "no checkpoint" : fmt::format("no checkpoint with {}", fmt::join(parts, ", "));
}

[[noreturn]] void fail_not_found(const BaseDir& base, const std::vector<SourceFolder>& sources,
                                 const CheckpointRequest& request) {
  std::vector<std::string> searched, complete, leftovers;
  std::string flags;
  for (const auto& source : sources) {
    if (!request.source || *request.source == source.source.name) {
      searched.push_back(std::string(source.source.folder) + (source.exists ? "" : " (missing)"));
    }
    for (const auto& tag : source.tags) {
      for (const auto step : tag.steps) {
        complete.push_back(fmt::format("{}/{} step {}", source.source.name, tag.name, step));
        if (flags.empty()) flags = fmt::format("--source {} --tag {} --step {}", source.source.name, tag.name, step);
      }
      for (const auto& file : tag.leftovers)
        leftovers.push_back(fmt::format("{}/{}/{}", source.source.folder, tag.name, file));
    }
  }
  std::string message = fmt::format("{}: searched {}", describe_request(request), fmt::join(searched, ", "));
  if (!leftovers.empty()) message += "; incomplete: " + listed(leftovers, kListed);
  if (!complete.empty()) {
    message += fmt::format("; complete: {}; try {}", listed(complete, kListed), flags);
  } else {
    const auto names = names_in(base.path);
    message += fmt::format("; the folder holds {}", names.empty() ? "nothing" : listed(names, kListed));
    auto hint = half_of_huggingface(base.path);
    if (hint.empty()) hint = inner_folder_hint(base.path);
    message +=
        hint.empty() ? "; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir" : hint;
  }
  throw CheckpointError(base.path.string() + base.origin, message);
}

void check_request(const CheckpointRequest& request) {
  const auto known = [&](const Source& source) { return *request.source == source.name; };
  if (request.source && std::none_of(kSources.begin(), kSources.end(), known)) {
    throw ArgumentError("source", fmt::format("expected base, mid, sft or rl, found {}", quote(*request.source)));
  }
  if (request.step && *request.step < 0) {
    throw ArgumentError("step", fmt::format("expected at least 0, found {}", *request.step));
  }
}

}  // namespace

std::filesystem::path resolve_base_dir(const CheckpointRequest& request) { return base_dir_of(request).path; }

CheckpointLocation locate_checkpoint(const CheckpointRequest& request) {
  check_request(request);
  const BaseDir base = base_dir_of(request);
  if (!is_folder(base.path)) {
    throw CheckpointError(
        base.path.string() + base.origin,
        "no such folder; pass the folder that holds base_checkpoints/ or chatsft_checkpoints/ with --base-dir, "
        "or set NANOCHAT_BASE_DIR");
  }
  const auto sources = scan(base.path);
  if (const auto huggingface = huggingface_in(base.path, sources)) {
    refuse_choices(request, *huggingface);
    return *huggingface;
  }
  CheckpointLocation location;
  const auto* source = choose_source(sources, request, location.guesses);
  if (!source) fail_not_found(base, sources, request);
  const auto& tag = choose_tag(*source, request, location.guesses);
  location.step = choose_step(tag, request, location.guesses);
  location.source = source->source.name;
  location.tag = tag.name;
  location.base_dir = base.path;
  const auto folder = base.path / source->source.folder / tag.name;
  location.model_file = folder / model_name(location.step);
  location.meta_file = folder / meta_name(location.step);
  if (is_folder(base.path / "tokenizer")) location.tokenizer_dir = base.path / "tokenizer";
  return location;
}

}  // namespace kvproof
