#include "server/engine/npy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace mfn::engine {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::string File(const std::string& header, const std::string& data, char major = 1) {
  const size_t width = major == 1 ? 2 : 4;
  std::string file = std::string("\x93NUMPY") + major + '\0';
  for (size_t k = 0; k < width; ++k) file.push_back(static_cast<char>(header.size() >> (8 * k)));
  return file + header + data;
}

const std::vector<double> kFour = {1.5, -2.25, 0.1, 1e-300};
constexpr char kPlain[] = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 2), }   \n";

// As NumPy 1.24 and 2 write it.
TEST(NpyTest, TheHeaderIsThatOfNumPy) {
  const int64_t square[] = {64, 64};
  const std::string header = NpyHeader(square);
  ASSERT_EQ(header.size(), 128u);
  EXPECT_EQ(header.substr(0, 10), std::string("\x93NUMPY\x01\x00v\x00", 10));
  EXPECT_EQ(header.substr(10, 62),
            "{'descr': '<f8', 'fortran_order': False, 'shape': (64, 64), } ");
  EXPECT_EQ(header.find_first_not_of(' ', 71), 127u);
  EXPECT_EQ(header.back(), '\n');
}

TEST(NpyTest, ReadsWhatItWrites) {
  for (const std::vector<int64_t>& shape :
       {std::vector<int64_t>{4}, {2, 2}, {4, 1, 1}, {1, 2, 2}, {1, 1, 1, 4}}) {
    const std::string file = NpyHeader(shape) + Bytes(kFour);
    const auto array = ParseNpy(file);
    ASSERT_TRUE(array.ok()) << array.error().message;
    EXPECT_EQ(array->shape, shape);
    EXPECT_FALSE(array->float32);
    EXPECT_EQ(NpyValues(*array), kFour);
  }
}

TEST(NpyTest, ReadsEveryFormatAndSpelling) {
  for (char major : {1, 2, 3}) {
    for (const char* header :
         {kPlain, "{\"shape\":(2,2),\"fortran_order\":False,\"descr\":\"<f8\"}",
          "{'fortran_order': False, 'descr': '<f8', 'shape': (2, 2,)}\n"}) {
      const std::string file = File(header, Bytes(kFour), major);
      const auto array = ParseNpy(file);
      ASSERT_TRUE(array.ok()) << array.error().message << header;
      EXPECT_THAT(array->shape, ElementsAre(2, 2));
      EXPECT_EQ(NpyValues(*array), kFour);
    }
  }
}

TEST(NpyTest, WidensFloats) {
  const std::vector<float> floats = {0.1f, -70.0f};
  const std::string file =
      File("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", Bytes(floats));
  const auto array = ParseNpy(file);
  ASSERT_TRUE(array.ok()) << array.error().message;
  EXPECT_TRUE(array->float32);
  EXPECT_THAT(NpyValues(*array),
              ElementsAre(static_cast<double>(0.1f), static_cast<double>(-70.0f)));
}

struct BadFile {
  const char* name;
  std::string file;
  const char* text;  // within the message
};

std::string WithHeader(const std::string& header) { return File(header, Bytes(kFour)); }

class BadNpyTest : public testing::TestWithParam<BadFile> {};

TEST_P(BadNpyTest, SaysWhatIsWrong) {
  const auto array = ParseNpy(GetParam().file);
  ASSERT_FALSE(array.ok());
  EXPECT_EQ(array.error().kind, ErrorKind::kInvalidArgument);
  EXPECT_THAT(array.error().message, HasSubstr(GetParam().text));
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadNpyTest,
    testing::Values(
        BadFile{"Empty", "", "numpy.save"}, BadFile{"Raw", Bytes(kFour), "numpy.save"},
        BadFile{"Zip", "PK\x03\x04 and more of it", "numpy.save"},
        BadFile{"MagicOnly", "\x93NUMPY", "numpy.save"},
        BadFile{"Format", File(kPlain, Bytes(kFour), 4), "4.0"},
        BadFile{"NoHeader", std::string("\x93NUMPY\x01\x00v", 9), "ends within"},
        BadFile{"ShortHeader", std::string("\x93NUMPY\x01\x00v\x00{'descr'", 18), "ends within"},
        BadFile{"HugeHeader", File(std::string(10001, ' '), ""), "10000"},
        BadFile{"ShortData", File(kPlain, Bytes(kFour).substr(1)), "(2, 2)"},
        BadFile{"LongData", File(kPlain, Bytes(kFour) + "12345678"), "(2, 2)"},
        BadFile{"BigEndian", WithHeader("{'descr': '>f8', 'fortran_order': False, 'shape': (4,)}"),
                "astype('<f8')"},
        BadFile{"Integers", WithHeader("{'descr': '<i8', 'fortran_order': False, 'shape': (4,)}"),
                "astype('<f8')"},
        BadFile{"Objects", WithHeader("{'descr': '|O', 'fortran_order': False, 'shape': (4,)}"),
                "astype('<f8')"},
        BadFile{"Structured",
                WithHeader("{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (4,)}"),
                "fields"},
        BadFile{"Fortran", WithHeader("{'descr': '<f8', 'fortran_order': True, 'shape': (2, 2)}"),
                "ascontiguousarray"},
        BadFile{"NoShape", WithHeader("{'descr': '<f8', 'fortran_order': False}"), "shape"},
        BadFile{"Twice",
                WithHeader("{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, "
                           "'shape': (4,)}"),
                "'descr'"},
        BadFile{"Unknown", WithHeader("{'descr': '<f8', 'order': False, 'shape': (4,)}"),
                "'order'"},
        BadFile{"NoTuple", WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': (4)}"),
                "dictionary"},
        BadFile{"Negative", WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': (-4,)}"),
                "dictionary"},
        BadFile{"Text", WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': (4,)} x"),
                "dictionary"},
        BadFile{"Overflow",
                WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, "
                           "4294967296, 4)}"),
                "4294967296"},
        BadFile{"Digits",
                WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': "
                           "(99999999999999999999,)}"),
                "dictionary"},
        BadFile{"Nothing", WithHeader("{'descr': '<f8', 'fortran_order': False, 'shape': (0, 4)}"),
                "(0, 4)"}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace mfn::engine
