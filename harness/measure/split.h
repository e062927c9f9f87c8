// Work split into shards that take about the same time. Pure: integers in, integers out, the same on every machine.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace kvproof {

/// One case: what it costs, and what must be opened for it.
struct CaseCost {
  int64_t cost = 0;       // at least 0
  std::size_t group = 0;  // index into Costs::openings: cases of one group share a model
};

/// Costs in any one unit.
struct Costs {
  std::vector<CaseCost> cases;    // in the config's order
  std::vector<int64_t> openings;  // of each group, what every shard pays that has a case of it; at least 0
};

/// Into which shard each case goes, from 1 on.
///
/// The better of two ways, by the shard that carries most. One gives each case, the dearest first, to the shard that then
/// carries least. The other keeps groups together: the largest first, they are put where least is, and stay there until a
/// limit is reached; the rest of a group goes on where then is least. The limit is the lowest, to a thousandth, with which
/// all cases find a place in `count` shards. Ties go by the order of the cases. Shards are numbered by their first case;
/// those without one come last.
/// count    at least 1
/// returns  of each case its shard; no shard carries more than bound_of
/// cost     some ten times cases times count
std::vector<int64_t> split(const Costs& costs, int64_t count);

/// What each shard carries: its cases, and once the opening of each of their groups.
/// shards  of each case, 1 … count
std::vector<int64_t> loads_of(const Costs& costs, const std::vector<int64_t>& shards, int64_t count);

/// What no shard of split ever exceeds: m + (all cases + all openings + (count - 1) times the dearest opening) / count, m
/// the dearest case with its opening.
///
/// With a limit of so much, the second way leaves no case over. Where one fits neither beside its group nor into the
/// emptiest shard, every shard carries more than limit - m, together more than there is to carry. For a group is opened
/// again only where the shard it was opened in last carries more than limit - m, and as long as any shard carries no more
/// than that, a fuller one is opened for nobody: each shard is left so at most once, and the last never.
int64_t bound_of(const Costs& costs, int64_t count);

}  // namespace kvproof
