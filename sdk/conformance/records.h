// Records for a plugin, in memory that can be taken away.
#ifndef MFN_CONFORMANCE_RECORDS_H_
#define MFN_CONFORMANCE_RECORDS_H_

#include <mfn/plugin.h>

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace mfn::conformance {

// nullopt: absent.
struct Input {
  const char* what;  // for messages
  std::optional<std::string> id, key, payload;
  std::vector<std::pair<std::string, std::optional<std::string>>> attrs;
};

// Everything between absent, empty, odd and large.
std::vector<Input> OddInputs();
// A request that any pipeline could send.
Input PlainInput();

// A batch in pages of its own: read-only while it is lent to the plugin, as good as freed
// afterwards, so that a plugin which writes to its input or keeps a pointer into it dies of it.
class LentBatch {
 public:
  explicit LentBatch(const std::vector<Input>& inputs);
  LentBatch(const LentBatch&) = delete;
  LentBatch& operator=(const LentBatch&) = delete;
  ~LentBatch();

  const mfn_batch& batch() const { return batch_; }
  // The plugin has returned: whoever reads it now crashes.
  void TakeBack();

 private:
  mfn_bytes Put(const std::optional<std::string>& text);
  void* Room(size_t bytes);

  char* pages_ = nullptr;
  size_t size_ = 0, used_ = 0;
  mfn_batch batch_ = {};
};

}  // namespace mfn::conformance

#endif  // MFN_CONFORMANCE_RECORDS_H_
