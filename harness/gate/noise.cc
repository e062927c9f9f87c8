#include "harness/gate/noise.h"

#include "harness/error.h"
#include "harness/record/journal.h"
#include "harness/record/view.h"

namespace kvproof {

std::vector<compare::AaEffect> read_noise(const std::filesystem::path& file) {
  std::vector<compare::AaEffect> effects;
  if (!std::filesystem::exists(file)) return effects;
  const std::vector<Json> lines = Journal::read(file);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    try {
      const View line(lines[i]);
      effects.push_back({line.at("fingerprint").text(), line.at("metric").text(), line.at("log_ratio").number()});
    } catch (const RecordError& error) {
      throw RecordError(file.string() + ":" + std::to_string(i + 1),
                        error.place() + ": " + error.message() + "; remove the line, or the file: it is made anew");
    }
  }
  return effects;
}

void add_noise(const std::filesystem::path& file, const std::string& started, int64_t blocks,
               const std::vector<compare::AaEffect>& effects) {
  if (effects.empty()) return;
  Journal journal = std::filesystem::exists(file) ? Journal::open(file) : Journal::create(file);
  for (const compare::AaEffect& effect : effects) {
    journal.append({{"kind", "aa"},
                    {"started", started},
                    {"fingerprint", effect.fingerprint},
                    {"metric", effect.metric},
                    {"log_ratio", effect.log_ratio},
                    {"blocks", blocks}});
  }
}

}  // namespace kvproof
