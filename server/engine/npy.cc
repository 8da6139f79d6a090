#include "server/engine/npy.h"

#include <bit>
#include <cstring>
#include <limits>
#include <optional>

namespace mfn::engine {
namespace {

static_assert(std::endian::native == std::endian::little, "values are copied as they are");

constexpr std::string_view kMagic = "\x93NUMPY";
// NumPy leaves room for a first dimension of so many digits, and aligns the values.
constexpr size_t kGrowthDigits = 21;
constexpr size_t kAlignment = 64;

Error Bad(std::string message) { return InvalidArgument("", std::move(message)); }

size_t LittleEndian(std::string_view bytes) {
  size_t value = 0;
  for (size_t k = bytes.size(); k-- > 0;) value = value << 8 | static_cast<uint8_t>(bytes[k]);
  return value;
}

// A text that the file holds, fit to be shown.
std::string Shown(std::string_view text) {
  std::string shown;
  for (char c : text.substr(0, 32)) shown.push_back(c >= ' ' && c <= '~' ? c : '?');
  return shown;
}

// The header is a Python dictionary of three entries; of Python's grammar it needs no more than
// quoted names, True and False, whole numbers and one tuple.
class HeaderReader {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  Expected<void> Read(NpyArray* array) {
    if (!Take('{')) return Malformed();
    bool descr = false, order = false, shape = false;
    while (!Take('}')) {
      const std::optional<std::string_view> key = Quoted();
      if (!key || !Take(':')) return Malformed();
      bool& seen = *key == "descr" ? descr : *key == "fortran_order" ? order : shape;
      if (seen || (&seen == &shape && *key != "shape")) {
        return Bad("the .npy header has an entry '" + Shown(*key) + "' that does not belong there");
      }
      seen = true;
      auto value = &seen == &descr ? Descr(array) : &seen == &order ? Order() : Shape(array);
      if (!value.ok()) return value;
      if (!Take(',') && !Next('}')) return Malformed();
    }
    SkipSpace();
    if (at_ != text_.size()) return Malformed();
    if (descr && order && shape) return {};
    return Bad("the .npy header must have descr, fortran_order and shape");
  }

 private:
  static Error Malformed() {
    return Bad("the .npy header is not a dictionary as numpy.save writes it");
  }

  void SkipSpace() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool Next(char c) {
    SkipSpace();
    return at_ < text_.size() && text_[at_] == c;
  }
  bool Take(char c) {
    if (!Next(c)) return false;
    ++at_;
    return true;
  }
  bool TakeWord(std::string_view word) {
    SkipSpace();
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }

  std::optional<std::string_view> Quoted() {
    const char quote = Next('"') ? '"' : '\'';
    if (!Take(quote)) return std::nullopt;
    const size_t end = text_.find(quote, at_);
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view name = text_.substr(at_, end - at_);
    at_ = end + 1;
    return name;
  }

  Expected<void> Descr(NpyArray* array) {
    const std::optional<std::string_view> type = Quoted();
    if (type && (*type == "<f8" || *type == "<f4")) {
      array->float32 = *type == "<f4";
      return {};
    }
    return Bad("the .npy array is of dtype " + (type ? "'" + Shown(*type) + "'" : "with fields") +
               ", must be '<f8' or '<f4': save array.astype('<f8')");
  }

  Expected<void> Order() {
    if (TakeWord("False")) return {};
    if (TakeWord("True")) {
      return Bad(
          "the .npy array is in Fortran order, must be in C order: save "
          "numpy.ascontiguousarray(array)");
    }
    return Malformed();
  }

  Expected<void> Shape(NpyArray* array) {
    if (!Take('(')) return Malformed();
    while (!Take(')')) {
      const std::optional<int64_t> length = Whole();
      if (!length) return Malformed();
      array->shape.push_back(*length);
      if (array->shape.size() > kMaxNpyDimensions) {
        return Bad("the .npy array has more than " + std::to_string(kMaxNpyDimensions) +
                   " dimensions");
      }
      // One number in brackets is no tuple without its comma.
      if (!Take(',') && (!Next(')') || array->shape.size() == 1)) return Malformed();
    }
    return {};
  }

  std::optional<int64_t> Whole() {
    constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
    SkipSpace();
    const size_t first = at_;
    int64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      const int64_t digit = text_[at_] - '0';
      if (value > (kMax - digit) / 10) return std::nullopt;
      value = value * 10 + digit;
    }
    if (at_ == first) return std::nullopt;
    return value;
  }

  const std::string_view text_;
  size_t at_ = 0;
};

// Whether the shape asks for exactly so many values.
bool Fits(const std::vector<int64_t>& shape, size_t values) {
  size_t product = 1;
  for (int64_t length : shape) {
    if (length == 0) return values == 0;
    // Past the file's size it can only grow, or come to nothing by a 0 that was looked for above.
    if (product > values / static_cast<size_t>(length))
      product = values + 1;
    else
      product *= static_cast<size_t>(length);
  }
  return product == values;
}

// Finds the header and takes it off the file.
Expected<std::string_view> TakeHeader(std::string_view* file) {
  if (file->substr(0, kMagic.size()) != kMagic || file->size() < kMagic.size() + 2) {
    return Bad("not a .npy file: it does not begin with \\x93NUMPY; save it with numpy.save");
  }
  const int major = static_cast<uint8_t>((*file)[kMagic.size()]);
  const int minor = static_cast<uint8_t>((*file)[kMagic.size() + 1]);
  if (major < 1 || major > 3 || minor != 0) {
    return Bad("the .npy format is " + std::to_string(major) + "." + std::to_string(minor) +
               ", must be 1.0, 2.0 or 3.0");
  }
  file->remove_prefix(kMagic.size() + 2);
  const size_t width = major == 1 ? 2 : 4;
  const size_t size = LittleEndian(file->substr(0, width));
  if (file->size() < width || size > file->size() - width) {
    return Bad("the .npy file ends within its header");
  }
  if (size > kMaxNpyHeaderBytes) {
    return Bad("the .npy header has " + std::to_string(size) + " bytes, at most " +
               std::to_string(kMaxNpyHeaderBytes) + " are read");
  }
  const std::string_view header = file->substr(width, size);
  file->remove_prefix(width + size);
  return header;
}

}  // namespace

Expected<NpyArray> ParseNpy(std::string_view file) {
  auto header = TakeHeader(&file);
  if (!header.ok()) return header.error();
  NpyArray array;
  if (auto read = HeaderReader(*header).Read(&array); !read.ok()) return read.error();
  const size_t width = array.float32 ? sizeof(float) : sizeof(double);
  if (file.size() % width != 0 || !Fits(array.shape, file.size() / width)) {
    return Bad("the .npy file has " + std::to_string(file.size()) +
               " bytes after its header, which are not the values of shape " +
               ShapeName(array.shape) + " at " + std::to_string(width) + " bytes each");
  }
  array.data = file;
  return array;
}

std::vector<double> NpyValues(const NpyArray& array) {
  if (!array.float32) {
    std::vector<double> values(array.data.size() / sizeof(double));
    if (!values.empty()) std::memcpy(values.data(), array.data.data(), array.data.size());
    return values;
  }
  std::vector<double> values(array.data.size() / sizeof(float));
  for (size_t k = 0; k < values.size(); ++k) {
    float value;
    std::memcpy(&value, array.data.data() + k * sizeof value, sizeof value);
    values[k] = static_cast<double>(value);
  }
  return values;
}

std::string ShapeName(std::span<const int64_t> shape) {
  std::string name = "(";
  for (size_t k = 0; k < shape.size(); ++k) {
    name += (k > 0 ? ", " : "") + std::to_string(shape[k]);
  }
  return name + (shape.size() == 1 ? ",)" : ")");
}

std::string NpyHeader(std::span<const int64_t> shape) {
  std::string text =
      "{'descr': '<f8', 'fortran_order': False, 'shape': " + ShapeName(shape) + ", }";
  if (!shape.empty()) text.append(kGrowthDigits - std::to_string(shape[0]).size(), ' ');
  const size_t before = kMagic.size() + 4;
  text.append(kAlignment - (before + text.size() + 1) % kAlignment, ' ');
  text.push_back('\n');
  std::string header(kMagic);
  header.push_back(1);
  header.push_back(0);
  header.push_back(static_cast<char>(text.size() & 0xff));
  header.push_back(static_cast<char>(text.size() >> 8));
  return header + text;
}

}  // namespace mfn::engine
