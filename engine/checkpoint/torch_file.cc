#include "engine/checkpoint/torch_file.h"

#include <c10/util/Exception.h>
#include <caffe2/serialize/inline_container.h>
#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/checkpoint/text.h"
#include "engine/error.h"

namespace kvproof {
namespace {

constexpr size_t kLocalHeaderSize = 30;  // of a zip record, before its name; APPNOTE 4.3.7

class MappingAdapter : public caffe2::serialize::ReadAdapterInterface {
 public:
  explicit MappingAdapter(std::shared_ptr<const MappedFile> mapping) : mapping_(std::move(mapping)) {}

  size_t size() const override { return mapping_->bytes().size(); }

  size_t read(uint64_t position, void* to, size_t n, const char*) const override {
    const auto bytes = mapping_->bytes();
    if (position > bytes.size()) return 0;
    n = std::min<uint64_t>(n, bytes.size() - position);
    std::memcpy(to, bytes.data() + position, n);
    return n;
  }

 private:
  std::shared_ptr<const MappedFile> mapping_;
};

// What a file that is no zip may be instead, and what to do then.
std::string describe_foreign(std::string_view bytes) {
  const auto begins = [&](std::string_view magic) { return bytes.substr(0, magic.size()) == magic; };
  if (begins(std::string_view("\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 14))) {
    return "written in the format of PyTorch before 1.6; in Python: torch.save(torch.load(file), file)";
  }
  if (begins("version https://git-lfs")) return "a Git LFS pointer, not the file itself; run git lfs pull";
  if (bytes.size() > 8 && bytes[8] == '{') return "looks like safetensors; nanochat writes torch.save files";
  std::string first;
  for (const char c : bytes.substr(0, 4)) first += fmt::format(" {:02x}", static_cast<unsigned char>(c));
  return fmt::format("not a file of torch.save: expected the zip signature 50 4b 03 04, found{}", first);
}

// The first sentence of an exception's own text, without the stack.
std::string reason_of(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string text = torch_error ? torch_error->what_without_backtrace() : error.what();
  return text.substr(0, std::min(text.find('\n'), text.find(". ")));
}

// LibTorch's reader throws c10::Error, and std exceptions where it parses numbers.
template <class F>
auto guarded(const std::string& place, const F& f) {
  try {
    return f();
  } catch (const std::exception& error) {
    throw CheckpointError(place, fmt::format("damaged zip file ({}); copy the file again", reason_of(error)));
  }
}

}  // namespace

TorchFile::TorchFile(const std::filesystem::path& file) : TorchFile(MappedFile::open(file), file.string()) {}

TorchFile::TorchFile(std::shared_ptr<const MappedFile> mapping, std::string place)
    : place_(std::move(place)), mapping_(std::move(mapping)) {
  const auto bytes = mapping_->bytes();
  if (bytes.substr(0, 4) != "PK\x03\x04") fail(describe_foreign(bytes));
  // The directory ends in a record of 22 bytes and a comment of at most 65535.
  const auto tail = bytes.substr(bytes.size() - std::min<size_t>(bytes.size(), 22 + 65535));
  if (tail.rfind("PK\x05\x06") == std::string_view::npos) {
    fail(fmt::format("truncated: a zip file of {} bytes that ends before its directory; copy the file again",
                     bytes.size()));
  }
  reader_ = guarded(place_, [&] {
    return std::make_unique<caffe2::serialize::PyTorchStreamReader>(std::make_shared<MappingAdapter>(mapping_));
  });
  if (!has("data.pkl")) fail("a zip file without data.pkl, so not a file of torch.save");
  if (has("constants.pkl")) fail("a TorchScript archive; expected a state dict: torch.save(model.state_dict(), file)");
  if (has("byteorder") && record("byteorder") != "little") {
    fail(fmt::format("byte order {} is not supported, only 'little'; save it again on a little-endian machine",
                     quote(record("byteorder"))));
  }
}

TorchFile::~TorchFile() = default;

void TorchFile::fail(const std::string& message) const { throw CheckpointError(place_, message); }

bool TorchFile::has(const std::string& record) const {
  return guarded(place_, [&] { return reader_->hasRecord(record); });
}

std::string_view TorchFile::record(const std::string& record) const {
  if (!has(record)) fail(fmt::format("record {} is missing; copy or save the file again", quote(record)));
  struct Range {
    size_t header, begin, size;
  };
  const auto [header, begin, size] = guarded(place_, [&] {
    return Range{reader_->getRecordHeaderOffset(record), reader_->getRecordOffset(record),
                 reader_->getRecordSize(record)};
  });
  const auto bytes = mapping_->bytes();
  if (header > bytes.size() || bytes.size() - header < kLocalHeaderSize || begin > bytes.size() ||
      size > bytes.size() - begin) {
    fail(fmt::format("record {} ends beyond the file's {} bytes; copy the file again", quote(record), bytes.size()));
  }
  const bool encrypted = bytes[header + 6] & 1, stored = bytes[header + 8] == 0 && bytes[header + 9] == 0;
  if (encrypted || !stored) {
    fail(fmt::format(
        "record {} is {}; torch.save stores records as they are: save the file again in Python, without zipping it",
        quote(record), encrypted ? "encrypted" : "compressed"));
  }
  return bytes.substr(begin, size);
}

}  // namespace kvproof
