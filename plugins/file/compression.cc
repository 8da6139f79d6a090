#include "plugins/file/compression.h"

#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

namespace mfn::file {
namespace {

constexpr size_t kInputBytes = 1 << 16;

// Base of the three: fills a buffer from the file.
class Input : public ByteReader {
 protected:
  Input(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  // Returns bytes read, 0 at the end, or -1 with *status.
  ssize_t Fill(char* buffer, size_t size, Status* status) {
    for (;;) {
      const ssize_t n = ::read(fd_, buffer, size);
      if (n >= 0) return n;
      if (errno == EINTR) continue;
      *status = SystemError(errno, "read", path_);
      return -1;
    }
  }
  Status Corrupt(const char* detail) const {
    return Status::Permanent("CORRUPT", "cannot decompress " + path_ + ": " + detail);
  }
  Status Truncated() const {
    return Status::Permanent("TRUNCATED", path_ + " ends in the middle of compressed data");
  }

  int fd_;
  std::string path_;
};

class PlainReader final : public Input {
 public:
  PlainReader(int fd, std::string path) : Input(fd, std::move(path)) {}
  Status Read(size_t want, std::string* out, bool* end) override {
    const size_t old = out->size();
    out->resize(old + want);
    Status status;
    const ssize_t n = Fill(out->data() + old, want, &status);
    out->resize(old + (n > 0 ? static_cast<size_t>(n) : 0));
    *end = n == 0;
    if (n > 0) read_ += static_cast<uint64_t>(n);
    return status;
  }
  uint64_t complete_bytes() const override { return read_; }

 private:
  uint64_t read_ = 0;
};

class GzipReader final : public Input {
 public:
  GzipReader(int fd, std::string path) : Input(fd, std::move(path)), in_(kInputBytes, '\0') {
    if (inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipReader() override { inflateEnd(&stream_); }

  Status Read(size_t want, std::string* out, bool* end) override {
    *end = false;
    const size_t old = out->size();
    out->resize(old + want);
    stream_.next_out = reinterpret_cast<Bytef*>(out->data() + old);
    stream_.avail_out = static_cast<uInt>(want);
    Status status = Step(end);
    out->resize(out->size() - stream_.avail_out);
    return status;
  }
  uint64_t complete_bytes() const override { return complete_; }

 private:
  // Decodes until something came out or the input ends.
  Status Step(bool* end) {
    const uInt space = stream_.avail_out;
    while (stream_.avail_out == space) {
      if (stream_.avail_in == 0) {
        Status status;
        const ssize_t n = Fill(in_.data(), in_.size(), &status);
        if (n < 0) return status;
        if (n == 0) {
          *end = true;
          return in_member_ ? Truncated() : Status::Ok();
        }
        stream_.next_in = reinterpret_cast<Bytef*>(in_.data());
        stream_.avail_in = static_cast<uInt>(n);
        filled_ += static_cast<uint64_t>(n);
      }
      in_member_ = true;
      const int result = inflate(&stream_, Z_NO_FLUSH);
      if (result == Z_STREAM_END) {
        complete_ = filled_ - stream_.avail_in;
        in_member_ = false;
        inflateReset(&stream_);
      } else if (result != Z_OK && result != Z_BUF_ERROR) {
        return Corrupt(stream_.msg != nullptr ? stream_.msg : "not gzip");
      }
    }
    return Status::Ok();
  }

  std::string in_;
  z_stream stream_ = {};
  bool in_member_ = false;
  uint64_t filled_ = 0, complete_ = 0;
};

class ZstdReader final : public Input {
 public:
  ZstdReader(int fd, std::string path)
      : Input(fd, std::move(path)), in_(kInputBytes, '\0'), stream_(ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdReader() override { ZSTD_freeDStream(stream_); }

  Status Read(size_t want, std::string* out, bool* end) override {
    *end = false;
    const size_t old = out->size();
    out->resize(old + want);
    ZSTD_outBuffer output = {out->data() + old, want, 0};
    Status status = Step(&output, end);
    out->resize(old + output.pos);
    return status;
  }
  uint64_t complete_bytes() const override { return complete_; }

 private:
  Status Step(ZSTD_outBuffer* output, bool* end) {
    while (output->pos == 0) {
      if (input_.pos == input_.size) {
        Status status;
        const ssize_t n = Fill(in_.data(), in_.size(), &status);
        if (n < 0) return status;
        if (n == 0 && !pending_output_) {
          *end = true;
          return in_frame_ ? Truncated() : Status::Ok();
        }
        input_ = {in_.data(), static_cast<size_t>(n), 0};
        filled_ += static_cast<uint64_t>(n);
      }
      const size_t result = ZSTD_decompressStream(stream_, output, &input_);
      if (ZSTD_isError(result)) return Corrupt(ZSTD_getErrorName(result));
      in_frame_ = result != 0;
      // A full output may leave decoded bytes inside the stream.
      pending_output_ = in_frame_ && output->pos == output->size;
      if (!in_frame_) complete_ = filled_ - (input_.size - input_.pos);
    }
    return Status::Ok();
  }

  std::string in_;
  ZSTD_DStream* stream_;
  ZSTD_inBuffer input_ = {nullptr, 0, 0};
  bool in_frame_ = false, pending_output_ = false;
  uint64_t filled_ = 0, complete_ = 0;
};

Status Gzip(std::string_view bytes, std::string* out) {
  z_stream stream = {};
  if (deflateInit2(&stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) !=
      Z_OK) {
    throw std::bad_alloc();
  }
  out->clear();
  int result = Z_OK;
  // avail_in is 32 bits wide; a write may be longer.
  do {
    const size_t piece = std::min<size_t>(bytes.size(), 1u << 30);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(piece);
    bytes.remove_prefix(piece);
    do {
      char buffer[1 << 14];
      stream.next_out = reinterpret_cast<Bytef*>(buffer);
      stream.avail_out = sizeof(buffer);
      result = deflate(&stream, bytes.empty() ? Z_FINISH : Z_NO_FLUSH);
      out->append(buffer, sizeof(buffer) - stream.avail_out);
    } while (stream.avail_out == 0);
  } while (!bytes.empty());
  deflateEnd(&stream);
  if (result != Z_STREAM_END) return Status::Permanent("COMPRESSION", "gzip failed");
  return Status::Ok();
}

Status Zstd(std::string_view bytes, std::string* out) {
  out->resize(ZSTD_compressBound(bytes.size()));
  const size_t n = ZSTD_compress(out->data(), out->size(), bytes.data(), bytes.size(), 3);
  if (ZSTD_isError(n)) {
    return Status::Permanent("COMPRESSION", std::string("zstd: ") + ZSTD_getErrorName(n));
  }
  out->resize(n);
  return Status::Ok();
}

bool EndsWith(const std::string& text, std::string_view end) {
  return text.size() > end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

}  // namespace

const char* ExtensionOf(Compression compression) {
  if (compression == Compression::kGzip) return ".gz";
  return compression == Compression::kZstd ? ".zst" : "";
}

Compression CompressionOf(const std::string& name, std::string* stem) {
  for (Compression c : {Compression::kGzip, Compression::kZstd}) {
    if (EndsWith(name, ExtensionOf(c))) {
      *stem = name.substr(0, name.size() - std::strlen(ExtensionOf(c)));
      return c;
    }
  }
  *stem = name;
  return Compression::kNone;
}

Status Compress(Compression compression, std::string_view bytes, std::string* out) {
  if (compression == Compression::kGzip) return Gzip(bytes, out);
  if (compression == Compression::kZstd) return Zstd(bytes, out);
  out->assign(bytes);
  return Status::Ok();
}

std::unique_ptr<ByteReader> ByteReader::Make(Compression compression, int fd, std::string path) {
  if (compression == Compression::kGzip) return std::make_unique<GzipReader>(fd, std::move(path));
  if (compression == Compression::kZstd) return std::make_unique<ZstdReader>(fd, std::move(path));
  return std::make_unique<PlainReader>(fd, std::move(path));
}

}  // namespace mfn::file
