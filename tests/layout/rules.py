"""The edges of the tree and the limits of a file, as data; server/README.md draws the edges."""

# Which parts of server/ a part may include, itself aside. The engine has not even base.
EDGES = {
    "base": [],
    "engine": [],
    "resilience": ["base"],
    "store": ["base"],
    "observability": ["base"],
    "registry": ["resilience", "store", "base"],
    "node": ["registry", "base"],
    "pipeline": ["registry", "engine", "store", "base"],
    "rpc": ["pipeline", "node", "registry", "engine", "store", "base"],
    "cli": [],
}

# A test may use real neighbours that its part may not know, but never what stands above the part.
TESTS_ALSO = ["base", "engine", "store"]
# rpc is the topmost part: its tests may run the whole server.
TESTS_OF_ALL = ["rpc"]
# A plugin's tests may load it as the server does.
PLUGIN_TESTS = ["base", "registry"]

# The generated mfn/v1/*.pb.h, and mfn_proto.
PROTO_USERS = ["pipeline", "rpc", "cli"]

# mfn/plugin.h and mfn/ext/*.h, and mfn_sdk. The C++ wrapper is for plugins, and for tests.
ABI_USERS = ["registry", "pipeline", "rpc"]

# Libraries that stay behind one part's interface: prefix of the include -> parts.
LIBRARY_OWNERS = {
    "grpc": ["rpc", "cli"],
    "google/protobuf/": ["pipeline", "rpc", "cli"],
    "google/rpc/": ["rpc", "cli"],
    "sqlite3.h": ["store"],
    "spdlog/": ["observability"],
    "prometheus/": ["observability"],
    "civetweb.h": ["observability"],
    "yaml-cpp/": ["base"],
    "valijson/": ["base", "registry"],
    "boost/dll": ["registry"],
    "dlfcn.h": ["registry"],
}

# The engine is the C++ standard library, and Highway for SIMD.
ENGINE_LIBRARIES = ["hwy/"]
ENGINE_TARGETS = ["Threads::Threads", "hwy::hwy", "PkgConfig::HWY"]
ENGINE_TEST_LIBRARIES = ["gtest/", "gmock/", "nlohmann/", "openssl/"]

# What else an sdk header may include, and why it must.
SDK_EXCEPTIONS = {
    # Loads a plugin as the server does; has the end of a call as a descriptor.
    "sdk/include/mfn/testing.hpp": ["dlfcn.h", "sys/epoll.h", "sys/eventfd.h", "sys/timerfd.h", "unistd.h"],
}

MAX_LINES = 500
# Longer files, each with the reason it is one file.
LONGER = {}

C_HEADERS = """assert complex ctype errno fenv float inttypes iso646 limits locale math setjmp
signal stdalign stdarg stdatomic stdbool stddef stdint stdio stdlib string tgmath threads time uchar
wchar wctype""".split()
