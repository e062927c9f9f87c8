// Checkpoints whose bytes are in memory already.
#include <ATen/core/Tensor.h>

#include <map>
#include <string>

#include "engine/checkpoint/checkpoint.h"
#include "tests/engine/checkpoint/support.h"

namespace kvproof {
namespace {

using testing::fault_of;
using testing::generation_path;
using testing::read_bytes;

const std::string& model_bytes() {
  static const std::string kBytes = read_bytes(generation_path("head/base_checkpoints/d4/model_000050.pt"));
  return kBytes;
}

const std::string& meta_bytes() {
  static const std::string kBytes = read_bytes(generation_path("head/base_checkpoints/d4/meta_000050.json"));
  return kBytes;
}

TEST_CASE("a checkpoint in memory is the one on disk, and shares the bytes", "[engine][checkpoint]") {
  const Checkpoint expected = load_checkpoint({generation_path("head"), {}, {}, {}}, {{"softcap", "14"}});
  const Checkpoint found = load_checkpoint_bytes({"tiny", model_bytes(), meta_bytes()}, {{"softcap", "14"}});
  CHECK(found.name == "tiny");
  CHECK(found.location.model_file.empty());
  CHECK(found.meta_json == expected.meta_json);
  CHECK(found.dims.n_kv_head == expected.dims.n_kv_head);
  CHECK(found.architecture.generation == "head");
  CHECK(found.architecture.softcap == 14);
  REQUIRE(found.tensors.size() == expected.tensors.size());
  for (const auto& [name, tensor] : expected.tensors) {
    CAPTURE(name);
    CHECK(found.tensors.at(name).equal(tensor));
  }
  const auto* data = static_cast<const char*>(found.tensors.at("lm_head.weight").const_data_ptr());
  CHECK(data >= model_bytes().data());
  CHECK(data < model_bytes().data() + model_bytes().size());
}

TEST_CASE("damaged bytes in memory are named as their owner names them", "[engine][checkpoint]") {
  const std::string cut = model_bytes().substr(0, 5000), wrong = "{\"model_config\": {}}";
  CHECK(fault_of([&] {
          load_checkpoint_bytes({"tiny", cut, meta_bytes()});
        }) ==
        "checkpoint| tiny: model: truncated: a zip file of 5000 bytes that ends before its directory; copy the file "
        "again");
  CHECK(fault_of([&] {
          load_checkpoint_bytes({"tiny", model_bytes(), wrong});
        }) == "checkpoint| tiny: meta: model_config.sequence_len: is missing; copy the meta file again or add the key");
}

}  // namespace
}  // namespace kvproof
