// Boost.DLL and the linker stay inside this file.
#include "server/registry/library.h"

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <boost/dll/shared_library.hpp>
#include <cerrno>
#include <cstring>
#include <exception>
#include <filesystem>
#include <list>
#include <system_error>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "server/base/mutex.h"
#include "server/registry/elf_check.h"

namespace mfn::registry {
namespace {

constexpr int kHighestMajor = 16;

// Never destroyed, so nothing is ever closed.
struct OpenLibraries {
  Mutex mutex;
  std::list<boost::dll::shared_library> libraries ABSL_GUARDED_BY(mutex);
};

void KeepOpen(boost::dll::shared_library library) {
  static OpenLibraries* const open = new OpenLibraries;
  MutexLock lock(&open->mutex);
  open->libraries.push_back(std::move(library));
}

// Which other major versions the library offers: "2" or "2, 3", or empty.
std::string OtherMajors(const boost::dll::shared_library& library) {
  std::string majors;
  for (int major = 0; major <= kHighestMajor; ++major) {
    if (major == MFN_ABI_MAJOR || !library.has(absl::StrCat("mfn_plugin_entry_v", major))) continue;
    absl::StrAppend(&majors, majors.empty() ? "" : ", ", major);
  }
  return majors;
}

absl::Status EntryThrew(const std::string& path, const char* what) {
  return absl::InvalidArgumentError(absl::StrCat(path, ": its entry point threw: ", what));
}

}  // namespace

absl::Status CheckPluginDirectory(const std::string& dir) {
  struct stat info;
  if (stat(dir.c_str(), &info) != 0) {
    return absl::FailedPreconditionError(absl::StrCat("plugin directory ", dir, ": ",
                                                      std::strerror(errno),
                                                      "; create it or correct server.plugin_dirs"));
  }
  if (!S_ISDIR(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin directory ", dir, ": not a directory"));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin directory ", dir,
                     ": writable by everybody, so anybody could run code in this server; "
                     "chmod o-w it"));
  }
  return absl::OkStatus();
}

absl::Status CheckSharedObject(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) {
    return absl::NotFoundError(absl::StrCat(path, ": no such file"));
  }
  if (!std::filesystem::is_regular_file(status)) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": not a regular file"));
  }
  if ((status.permissions() & std::filesystem::perms::others_write) !=
      std::filesystem::perms::none) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": writable by everybody; chmod o-w it"));
  }
  if (std::string fault = ElfFault(path); !fault.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", fault));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> PluginFiles(const std::string& dir) {
  std::vector<std::string> files;
  std::error_code error;
  for (std::filesystem::directory_iterator it(dir, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".so") files.push_back(it->path().string());
  }
  if (error) {
    return absl::FailedPreconditionError(
        absl::StrCat("plugin directory ", dir, ": ", error.message()));
  }
  std::sort(files.begin(), files.end());
  return files;
}

absl::StatusOr<const mfn_plugin*> OpenPlugin(const std::string& path) {
  boost::system::error_code error;
  boost::dll::shared_library library;
  // Boost adds RTLD_LAZY unless told otherwise; an unresolved symbol must show now, not in a call.
  library.load(path, error, boost::dll::load_mode::rtld_now | boost::dll::load_mode::rtld_local);
  if (error) {
    const char* words = dlerror();
    std::string why = words != nullptr ? words : error.message();
    if (words == nullptr) {
      // Boost may have consumed the linker's words; asking again fails the same way.
      if (dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL) == nullptr) {
        if (const char* again = dlerror(); again != nullptr) why = again;
      }
    }
    return absl::FailedPreconditionError(absl::StrCat(path, ": cannot be loaded: ", why));
  }
  if (!library.has(MFN_PLUGIN_ENTRY_SYMBOL)) {
    const std::string majors = OtherMajors(library);
    KeepOpen(std::move(library));
    if (majors.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": not a plugin: it does not export " MFN_PLUGIN_ENTRY_SYMBOL));
    }
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": built for plugin ABI major ", majors, ", this server has major ",
                     MFN_ABI_MAJOR, "; use a build of the plugin for major ", MFN_ABI_MAJOR));
  }
  const mfn_plugin_entry_fn entry =
      &library.get<const mfn_plugin*(uint32_t)>(MFN_PLUGIN_ENTRY_SYMBOL);
  KeepOpen(std::move(library));
  const mfn_plugin* plugin = nullptr;
  try {
    plugin = entry(MFN_ABI_MINOR);
  } catch (const std::exception& e) {
    return EntryThrew(path, e.what());
  } catch (...) {
    return EntryThrew(path, "something that is no std::exception");
  }
  if (plugin == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat(
        path, ": the plugin refuses this server: it needs a newer one than plugin ABI ",
        MFN_ABI_MAJOR, ".", MFN_ABI_MINOR));
  }
  return plugin;
}

}  // namespace mfn::registry
