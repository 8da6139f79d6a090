// A directory of its own for a test of the store, removed with all that is in it.
#ifndef MFN_SERVER_STORE_TEST_DIRECTORY_H_
#define MFN_SERVER_STORE_TEST_DIRECTORY_H_

#include <stdlib.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <system_error>

#include "gtest/gtest.h"

namespace mfn::store {

class TestDirectory {
 public:
  TestDirectory() : path_(testing::TempDir() + "/mfn_store_XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << "no temporary directory " << path_;
  }
  ~TestDirectory() { std::filesystem::remove_all(path_); }
  TestDirectory(const TestDirectory&) = delete;
  TestDirectory& operator=(const TestDirectory&) = delete;

  const std::string& path() const { return path_; }
  std::string File(const std::string& name) const { return path_ + "/" + name; }
  // Files in the subdirectory, 0 if it is not there.
  size_t FilesIn(const std::string& name) const {
    size_t count = 0;
    std::error_code error;
    for (std::filesystem::directory_iterator it(File(name), error), end; !error && it != end;
         it.increment(error)) {
      ++count;
    }
    return count;
  }

 private:
  std::string path_;
};

}  // namespace mfn::store

#endif  // MFN_SERVER_STORE_TEST_DIRECTORY_H_
