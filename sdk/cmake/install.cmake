# What `cmake --install build/release --component sdk --prefix P` puts under P: the headers, the CMake
# package and the pkg-config file, the export map, the starter plugins, mfn-plugin-check.
include(CMakePackageConfigHelpers)

# The package's version is the ABI's, so that "same major" means "loads".
file(STRINGS ${CMAKE_CURRENT_SOURCE_DIR}/include/mfn/plugin.h lines
  REGEX "#define MFN_ABI_(MAJOR|MINOR) ")
string(REGEX REPLACE ".*MFN_ABI_MAJOR ([0-9]+).*MFN_ABI_MINOR ([0-9]+).*" "\\1.\\2"
  MFN_ABI_VERSION "${lines}")

set(MFN_SDK_CMAKE_DIR ${CMAKE_INSTALL_DATADIR}/cmake/mfn-sdk)
set(out ${CMAKE_CURRENT_BINARY_DIR}/package)
configure_package_config_file(cmake/mfn-sdk-config.cmake.in ${out}/mfn-sdk-config.cmake
  INSTALL_DESTINATION ${MFN_SDK_CMAKE_DIR})
write_basic_package_version_file(${out}/mfn-sdk-config-version.cmake
  VERSION ${MFN_ABI_VERSION} COMPATIBILITY SameMajorVersion ARCH_INDEPENDENT)
configure_file(cmake/mfn-sdk.pc.in ${out}/mfn-sdk.pc @ONLY)

install(TARGETS mfn_sdk EXPORT mfn-sdk COMPONENT sdk)
install(EXPORT mfn-sdk NAMESPACE mfn:: FILE mfn-sdk-targets.cmake
  DESTINATION ${MFN_SDK_CMAKE_DIR} COMPONENT sdk)
install(DIRECTORY include/mfn DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT sdk)
install(FILES cmake/mfn-plugin.cmake cmake/plugin.map cmake/schema.h.in
  ${out}/mfn-sdk-config.cmake ${out}/mfn-sdk-config-version.cmake
  DESTINATION ${MFN_SDK_CMAKE_DIR} COMPONENT sdk)
install(FILES ${out}/mfn-sdk.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig COMPONENT sdk)
install(DIRECTORY template DESTINATION ${CMAKE_INSTALL_DATADIR}/mfn COMPONENT sdk)
