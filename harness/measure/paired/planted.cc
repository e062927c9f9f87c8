#include "harness/measure/paired/planted.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>
#include <vector>

#include "engine/error.h"
#include "harness/verify/faults/table.h"

namespace kvproof {
namespace {

constexpr std::size_t kRows = 64, kColumns = 256;
constexpr int64_t kMostWork = 1'000'000;

/// The matrix and the vector; what comes out is kept, so that no compiler leaves the work out.
class Work {
 public:
  Work() : matrix_(kRows * kColumns, 0.5F), vector_(kColumns, 0.25F) {}

  void run(int64_t times) {
    for (int64_t i = 0; i < times; ++i) {
      float sum = 0;
      for (std::size_t row = 0; row < kRows; ++row) {
        std::array<float, 16> lanes{};
        for (std::size_t column = 0; column < kColumns; column += lanes.size()) {
          for (std::size_t lane = 0; lane < lanes.size(); ++lane)
            lanes[lane] += matrix_[row * kColumns + column + lane] * vector_[column + lane];
        }
        for (const float lane : lanes) sum += lane;
      }
      vector_[static_cast<std::size_t>(i) % kColumns] = sum * 1e-4F;  // the next product needs this one
    }
  }

 private:
  std::vector<float> matrix_, vector_;
};

Model::PlanFilter working(const PlantedWork& planted, Model::PlanFilter then) {
  if (planted.prefill == 0 && planted.decode == 0) return then;
  return [planted, then = std::move(then), work = std::make_shared<Work>()](StepPlan plan) {
    work->run(plan.length > 1 ? planted.prefill : planted.decode);
    return then ? then(std::move(plan)) : plan;
  };
}

}  // namespace

PlantedWork planted_work_of(const std::string& text) {
  PlantedWork work;
  const char* const end = text.data() + text.size();
  const auto [comma, bad] = std::from_chars(text.data(), end, work.prefill);
  if (bad == std::errc() && comma != end && *comma == ',') {
    const auto [rest, worse] = std::from_chars(comma + 1, end, work.decode);
    const bool fits = std::min(work.prefill, work.decode) >= 0 && std::max(work.prefill, work.decode) <= kMostWork;
    if (worse == std::errc() && rest == end && fits) return work;
  }
  throw ArgumentError("--plant-work", fmt::format("expected PREFILL,DECODE, two numbers from 0 to {}, found \"{}\"", kMostWork, text));
}

ModelHook planted(const PlantedWork& work, const std::string& name) {
  const Fault* fault = name.empty() ? nullptr : find_fault(name);
  if (!name.empty() && !fault)
    throw ArgumentError("--plant-fault", fmt::format("there is no fault \"{}\"; kvproof verify --list-faults lists them", name));
  return [work, fault](Model& model) {
    Plant plant;
    if (fault) {
      const FaultContext context = fault_context(model, true);
      if (const std::string why = fault->not_applicable(context); !why.empty())
        throw ArgumentError("--plant-fault", fmt::format("{} cannot show in this model: {}", fault->name, why));
      plant = fault->plant(context);
    }
    model.set_plan_filter(working(work, plant.filter));
    if (plant.hook) model.set_cache_hook(plant.hook);
  };
}

}  // namespace kvproof
