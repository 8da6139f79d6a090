# The few helpers with which every folder declares its targets.
#
#   mfn_library(NAME rng SRCS rng.cc HDRS rng.h DEPS absl::status)   -> target mfn_rng
#   mfn_test(NAME rng_test SRCS rng_test.cc DEPS mfn_rng)            -> one CTest test per TEST()
#   mfn_binary(NAME mfnd SRCS main.cc DEPS ...)                      -> build/<preset>/bin/mfnd
#
# Warnings are errors for our own code only; headers of installed libraries are system headers.

find_program(MFN_CCACHE ccache)
if(MFN_CCACHE)
  set(CMAKE_C_COMPILER_LAUNCHER ${MFN_CCACHE})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${MFN_CCACHE})
endif()

find_package(Threads REQUIRED)
find_package(absl REQUIRED)

add_library(mfn_options INTERFACE)
target_include_directories(mfn_options INTERFACE ${PROJECT_SOURCE_DIR})
# Bit-exact numbers need one rounding per written operation: no contraction, no reassociation.
target_compile_options(mfn_options INTERFACE -ffp-contract=off)
if(MFN_SANITIZE)
  # Libraries are found and linked as usual; only our own code is instrumented.
  add_compile_options(-fsanitize=${MFN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${MFN_SANITIZE})
endif()

add_library(mfn_warnings INTERFACE)
# C has no classes; the C++-only warnings must not reach C sources.
target_compile_options(mfn_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wcast-qual -Wformat=2 -Werror
  $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>
  $<$<COMPILE_LANGUAGE:CXX>:-Woverloaded-virtual>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  # GCC 12 sees overlaps in std::string's own code that are not there (GCC bug 105651).
  target_compile_options(mfn_warnings INTERFACE -Wno-restrict)
endif()
if(MFN_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12's flow warnings misfire on instrumented code.
  target_compile_options(mfn_warnings INTERFACE -Wno-maybe-uninitialized -Wno-stringop-overflow
    -Wno-mismatched-new-delete -Wno-tsan)
endif()

function(mfn_library)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;HDRS;DEPS;PRIVATE_DEPS" ${ARGN})
  if(ARG_SRCS)
    add_library(mfn_${ARG_NAME} STATIC ${ARG_SRCS} ${ARG_HDRS})
    target_link_libraries(mfn_${ARG_NAME} PUBLIC mfn_options ${ARG_DEPS}
      PRIVATE mfn_warnings ${ARG_PRIVATE_DEPS})
  else()
    add_library(mfn_${ARG_NAME} INTERFACE)
    target_link_libraries(mfn_${ARG_NAME} INTERFACE mfn_options ${ARG_DEPS})
  endif()
endfunction()

function(mfn_binary)
  cmake_parse_arguments(ARG "" "NAME" "SRCS;DEPS" ${ARGN})
  add_executable(${ARG_NAME} ${ARG_SRCS})
  target_link_libraries(${ARG_NAME} PRIVATE mfn_options mfn_warnings ${ARG_DEPS})
endfunction()

# gRPC is not instrumented: the thread sanitizer does not see how it orders its threads and reports
# races that are not there. Tests that run it are left out of such a build; CTest lists their names.
if(MFN_SANITIZE MATCHES "thread")
  set(MFN_GRPC_TESTS_DISABLED TRUE)
else()
  set(MFN_GRPC_TESTS_DISABLED FALSE)
endif()

# Instrumented code takes a multiple of the time; so may its tests.
set(MFN_TIMEOUT_FACTOR 1)
if(MFN_SANITIZE)
  set(MFN_TIMEOUT_FACTOR 4)
endif()

# TIMEOUT in seconds, without sanitizers. LABELS reach CTest; ENV are VAR=value pairs for the test's
# process. GRPC: it runs a gRPC server.
function(mfn_test)
  cmake_parse_arguments(ARG "GRPC" "NAME;TIMEOUT" "SRCS;DEPS;LABELS;ENV" ${ARGN})
  if(NOT MFN_BUILD_TESTS)
    return()
  endif()
  find_package(GTest REQUIRED)
  include(GoogleTest)
  add_executable(${ARG_NAME} ${ARG_SRCS})
  set_target_properties(${ARG_NAME} PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${ARG_NAME} PRIVATE mfn_options mfn_warnings ${ARG_DEPS}
    GTest::gtest GTest::gmock GTest::gtest_main)
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 120)
  endif()
  math(EXPR timeout "${ARG_TIMEOUT} * ${MFN_TIMEOUT_FACTOR}")
  set(properties TIMEOUT ${timeout})
  if(ARG_LABELS)
    list(APPEND properties LABELS "${ARG_LABELS}")
  endif()
  if(ARG_ENV)
    list(APPEND properties ENVIRONMENT "${ARG_ENV}")
  endif()
  if(ARG_GRPC)
    list(APPEND properties DISABLED ${MFN_GRPC_TESTS_DISABLED})
  endif()
  gtest_discover_tests(${ARG_NAME} TEST_PREFIX "${ARG_NAME}." NO_PRETTY_VALUES DISCOVERY_MODE PRE_TEST
    DISCOVERY_TIMEOUT 60 PROPERTIES ${properties})
endfunction()
