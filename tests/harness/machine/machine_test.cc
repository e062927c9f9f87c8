#include "harness/machine/machine.h"

#include <sys/mman.h>
#include <time.h>

#include <cstring>
#include <regex>

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

MachineFacts some_machine() {
  MachineFacts facts;
  facts.cpu_model = Fact<std::string>::known("Xeon");
  facts.cpu_id = Fact<std::string>::known("GenuineIntel family 6 model 143 stepping 8");
  facts.architecture = "x86_64";
  facts.cores = 2;
  facts.l1d_bytes = Fact<int64_t>::known(49152);
  facts.l2_bytes = Fact<int64_t>::known(2097152);
  facts.l3_bytes = Fact<int64_t>::unknown("none");
  facts.isa = {"avx2", "fma"};
  facts.memory_bytes = Fact<int64_t>::known(int64_t{24} << 30);
  return facts;
}

// Pages that are touched and given back to the system at once, which free() does not promise.
class Pages {
 public:
  explicit Pages(std::size_t bytes)
      : bytes_(bytes), data_(mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {
    REQUIRE(data_ != MAP_FAILED);
    std::memset(data_, 1, bytes);
  }
  ~Pages() { munmap(data_, bytes_); }

 private:
  std::size_t bytes_;
  void* data_;
};

}  // namespace

TEST_CASE("a fingerprint changes with what the machine is", "[machine]") {
  const std::string before = fingerprint(some_machine());
  CHECK(before == "f17ce5b7a363c97f");  // pinned: baselines of other days are found by it
  MachineFacts facts = some_machine();
  SECTION("another model") { facts.cpu_model = Fact<std::string>::known("Epyc"); }
  SECTION("another stepping") { facts.cpu_id = Fact<std::string>::known("GenuineIntel family 6 model 143 stepping 9"); }
  SECTION("another architecture") { facts.architecture = "aarch64"; }
  SECTION("more cores") { facts.cores = 4; }
  SECTION("another L1") { facts.l1d_bytes = Fact<int64_t>::known(32768); }
  SECTION("a visible L3") { facts.l3_bytes = Fact<int64_t>::known(1 << 25); }
  SECTION("an extension less") { facts.isa.pop_back(); }
  SECTION("a GiB more") { facts.memory_bytes = Fact<int64_t>::known(int64_t{25} << 30); }
  CHECK(fingerprint(facts) != before);
}

TEST_CASE("a fingerprint stays when only the day changes", "[machine]") {
  MachineFacts facts = some_machine();
  facts.governor = Fact<std::string>::known("powersave");
  facts.affinity = Fact<std::string>::known("1");
  facts.os = "Debian GNU/Linux 13, Linux 6.12";
  facts.memory_bytes = Fact<int64_t>::known((int64_t{24} << 30) - (300 << 20));  // the kernel kept some for itself
  CHECK(fingerprint(facts) == fingerprint(some_machine()));
}

TEST_CASE("this machine has cores, an architecture, a name of its system and a fingerprint", "[machine]") {
  const MachineFacts facts = machine_facts();
  CHECK(facts.cores >= 1);
  CHECK_FALSE(facts.architecture.empty());
  CHECK_FALSE(facts.os.empty());
  CHECK(facts.fingerprint == fingerprint(facts));
  CHECK(facts.fingerprint == machine_facts().fingerprint);
  for (const auto* fact : {&facts.l1d_bytes, &facts.l2_bytes, &facts.l3_bytes, &facts.memory_bytes}) {
    CHECK(fact->has_value() == fact->reason.empty());
    if (fact->has_value()) CHECK(**fact > 0);
  }
}

TEST_CASE("the clocks advance with work and CPU time does not with sleep", "[machine]") {
  const int64_t wall = now_ns(), cpu = process_cpu_ns();
  volatile double sink = 0;
  while (process_cpu_ns() - cpu < 5'000'000) sink = sink + 1;
  CHECK(now_ns() - wall >= 4'000'000);  // one thread: CPU time cannot outrun the wall
  const int64_t slept_from = now_ns(), cpu_before = process_cpu_ns(), switches = context_switches();
  const timespec pause{0, 30'000'000};
  nanosleep(&pause, nullptr);
  CHECK(now_ns() - slept_from >= 30'000'000);
  CHECK(process_cpu_ns() - cpu_before < 20'000'000);
  CHECK(context_switches() > switches);
}

TEST_CASE("the time of day is written as ISO 8601 in UTC", "[machine]") {
  const std::string now = utc_now();
  CHECK(std::regex_match(now, std::regex(R"(20\d\d-[01]\d-[0-3]\dT[0-2]\d:[0-5]\d:[0-6]\dZ)")));
}

TEST_CASE("load and stolen time are there or have a reason", "[machine]") {
  const LoadSnapshot snapshot = load_snapshot();
  CHECK(snapshot.load.has_value() == snapshot.load.reason.empty());
  if (snapshot.load.has_value()) CHECK(snapshot.load->size() == 3);
  CHECK(snapshot.steal_ns.has_value() == snapshot.steal_ns.reason.empty());
}

TEST_CASE("the memory that may be taken is there or has a reason, and is no more than the machine's", "[machine]") {
  const Fact<int64_t> available = available_memory_bytes();
  CHECK(available.has_value() == available.reason.empty());
  const MachineFacts facts = machine_facts();
  if (available.has_value() && facts.memory_bytes.has_value()) CHECK(*available <= *facts.memory_bytes);
}

TEST_CASE("the peak of resident memory starts again after a reset", "[machine]") {
  const std::string refused = reset_peak_rss();
  if (!refused.empty()) {
    WARN("skipped: " << refused);
    return;
  }
  constexpr int64_t kBig = 64 << 20, kSlack = 8 << 20;
  const int64_t start = *current_rss_bytes();
  { const Pages pages(kBig); }
  CHECK(*peak_rss_bytes() >= start + kBig - kSlack);
  CHECK(*current_rss_bytes() < start + kSlack);
  REQUIRE(reset_peak_rss().empty());
  CHECK(*peak_rss_bytes() < start + kSlack);
}
