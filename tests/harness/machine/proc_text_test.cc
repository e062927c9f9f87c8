#include "harness/machine/proc_text.h"

#include "tests/support/catch.h"

using namespace kvproof;

namespace {

constexpr const char* kXeon =
    "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\nmodel name\t: Intel(R) Xeon(R) "
    "Platinum 8488C\n"
    "stepping\t: 8\ncpu MHz\t\t: 2400.000\nflags\t\t: fpu amx_bf16 avx avx2 avx512f fma sse4_2 "
    "avx512_bf16_not\nbugs\t\t: spectre_v1\n\n"
    "processor\t: 1\nvendor_id\t: GenuineIntel\nmodel name\t: another\n";

constexpr const char* kArm =
    "processor\t: 0\nBogoMIPS\t: 2100.00\nFeatures\t: fp asimd evtstrm asimdhp asimddp sve bf16 i8mm\n"
    "CPU implementer\t: 0x41\nCPU architecture: 8\nCPU variant\t: 0x1\nCPU part\t: 0xd40\nCPU revision\t: 1\n";

}  // namespace

TEST_CASE("an x86 processor is known by its model name, family, model and stepping", "[machine]") {
  const CpuInfo info = parse_cpuinfo(kXeon);
  CHECK(info.model == "Intel(R) Xeon(R) Platinum 8488C");
  CHECK(info.id == "GenuineIntel family 6 model 143 stepping 8");  // "model" is not "model name"
  CHECK(info.isa == std::vector<std::string>{"sse4_2", "avx", "avx2", "fma", "avx512f", "amx_bf16"});
}

TEST_CASE("an Arm processor has no model name but parts and features", "[machine]") {
  const CpuInfo info = parse_cpuinfo(kArm);
  CHECK_FALSE(info.model.has_value());
  CHECK(info.id == "implementer 0x41 architecture 8 variant 0x1 part 0xd40 revision 1");
  CHECK(info.isa == std::vector<std::string>{"asimd", "asimdhp", "asimddp", "sve", "bf16", "i8mm"});
}

TEST_CASE("an empty cpuinfo says nothing", "[machine]") {
  const CpuInfo info = parse_cpuinfo("");
  CHECK_FALSE(info.model.has_value());
  CHECK_FALSE(info.id.has_value());
  CHECK(info.isa.empty());
}

TEST_CASE("sizes of /proc come in units of 1024 bytes", "[machine]") {
  const char* text = "VmPeak:\t    3776 kB\nVmHWM:\t    2200 kB\nVmRSS:\t    2196 kB\nThreads:\t1\n";
  CHECK(parse_kilobytes(text, "VmHWM") == 2200 * 1024);
  CHECK(parse_kilobytes(text, "VmRSS") == 2196 * 1024);
  CHECK_FALSE(parse_kilobytes(text, "Vm").has_value());
  CHECK_FALSE(parse_kilobytes(text, "Threads").has_value());  // no unit, no size
  CHECK_FALSE(parse_kilobytes("VmHWM:\tmuch kB\n", "VmHWM").has_value());
  CHECK(parse_kilobytes("MemTotal:       24684084 kB", "MemTotal") == 24684084LL * 1024);  // no line end
}

TEST_CASE("a field is the rest of its line", "[machine]") {
  CHECK(parse_field("Cpus_allowed:\t3\nCpus_allowed_list:\t0-1,4\n", "Cpus_allowed_list") == "0-1,4");
  CHECK(parse_field("a:\nb: 2", "a") == "");
  CHECK_FALSE(parse_field("ab: 1\n", "b").has_value());
}

TEST_CASE("load averages are the first three numbers", "[machine]") {
  CHECK(parse_loadavg("0.78 0.50 0.24 3/101 23078\n") == std::vector<double>{0.78, 0.50, 0.24});
  CHECK_FALSE(parse_loadavg("0.78 0.50").has_value());
  CHECK_FALSE(parse_loadavg("").has_value());
}

TEST_CASE("stolen time is the eighth column of all CPUs' line, in ticks", "[machine]") {
  CHECK(parse_steal_ns("cpu  20173 3127 8932 249912 1742 0 290 130 0 0\ncpu0 4847 619 2995 133201 325 0 27 57 0 0\n",
                       100) == 1'300'000'000);
  CHECK(parse_steal_ns("cpu  1 1 1 1 1 1 1 3 0 0\n", 1000) == 3'000'000);
  CHECK_FALSE(parse_steal_ns("cpu  1 2 3 4 5 6 7\ncpu0 9", 100).has_value());  // kernels before 2.6.11
  CHECK_FALSE(parse_steal_ns("cpu0 1 1 1 1 1 1 1 3\n", 100).has_value());
}

TEST_CASE("cache sizes have a unit letter", "[machine]") {
  CHECK(parse_cache_size("48K\n") == 49152);
  CHECK(parse_cache_size("2M\n") == 2097152);
  CHECK(parse_cache_size("491520K") == 503316480);
  CHECK(parse_cache_size("512") == 512);
  CHECK_FALSE(parse_cache_size("").has_value());
  CHECK_FALSE(parse_cache_size("K").has_value());
}

TEST_CASE("a group's limit is a number of bytes or none", "[machine]") {
  CHECK(parse_count("2147483648\n") == int64_t{2} << 30);
  CHECK_FALSE(parse_count("max\n").has_value());
  CHECK_FALSE(parse_count("").has_value());
}

TEST_CASE("the distribution's name stands with or without quotes", "[machine]") {
  CHECK(parse_os_name("PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=x\n") == "Debian GNU/Linux 12 (bookworm)");
  CHECK(parse_os_name("NAME=x\nPRETTY_NAME=Alpine\n") == "Alpine");
  CHECK_FALSE(parse_os_name("NAME=x\nMY_PRETTY_NAME=y\n").has_value());
  CHECK_FALSE(parse_os_name("PRETTY_NAME=\n").has_value());
}
