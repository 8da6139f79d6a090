# add_mfn_plugin(NAME file SOURCES plugin.cc [LINK lib...] [SCHEMAS schema.json ...])
#
# Builds mfn-<NAME>.so (target mfn_plugin_<NAME>) as a plugin: everything hidden except the entry
# symbol, so that a library that the plugin links (compression, TLS) cannot take over the same library
# in the host, nor the host's in the plugin. Each SCHEMAS file becomes a constant `k_<stem>_json` in a
# generated header "<stem>_json.h", in C and in C++, so that the schema can be read as a file and still
# travels inside the plugin.
#
# Used in mfnd's own tree and, through find_package(mfn-sdk), anywhere else.
function(add_mfn_plugin)
  cmake_parse_arguments(ARG "" "NAME" "SOURCES;LINK;SCHEMAS" ${ARGN})
  if(NOT ARG_NAME OR NOT ARG_SOURCES OR ARG_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "add_mfn_plugin(NAME x SOURCES ... [LINK ...] [SCHEMAS ...]), "
      "not: ${ARGV}")
  endif()
  set(target mfn_plugin_${ARG_NAME})
  set(map ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/plugin.map)
  add_library(${target} MODULE ${ARG_SOURCES})
  if(MFN_PLUGIN_OUTPUT_DIRECTORY)
    set_target_properties(${target} PROPERTIES
      LIBRARY_OUTPUT_DIRECTORY ${MFN_PLUGIN_OUTPUT_DIRECTORY})
  endif()
  set_target_properties(${target} PROPERTIES
    PREFIX "" OUTPUT_NAME mfn-${ARG_NAME}
    C_VISIBILITY_PRESET hidden CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${target} PRIVATE mfn::sdk ${ARG_LINK})
  if(TARGET mfn_warnings)
    target_link_libraries(${target} PRIVATE mfn_warnings)
  endif()
  mfn_embed_schemas(${target} ${ARG_SCHEMAS})
  target_link_options(${target} PRIVATE
    -Wl,--version-script=${map} -Wl,--no-undefined-version -Wl,--exclude-libs,ALL)
  # A sanitizer's symbols come from the host's executable, so they are undefined here.
  if(NOT MFN_SANITIZE)
    target_link_options(${target} PRIVATE -Wl,-z,defs)
  endif()
  set_property(TARGET ${target} APPEND PROPERTY LINK_DEPENDS ${map})
  set_property(GLOBAL APPEND PROPERTY MFN_PLUGIN_TARGETS ${target})
endfunction()

# Also usable for a test that compiles a plugin's sources directly.
function(mfn_embed_schemas target)
  foreach(schema ${ARGN})
    get_filename_component(path ${schema} ABSOLUTE)
    get_filename_component(MFN_SCHEMA_NAME ${schema} NAME_WE)
    file(READ ${path} text)
    # To a string literal of C: C has no raw ones.
    string(REPLACE "\\" "\\\\" text "${text}")
    string(REPLACE "\"" "\\\"" text "${text}")
    string(REPLACE "\n" "\\n\"\n    \"" MFN_SCHEMA_TEXT "${text}")
    set(out ${CMAKE_CURRENT_BINARY_DIR}/${target}_schemas)
    configure_file(${CMAKE_CURRENT_FUNCTION_LIST_DIR}/schema.h.in
      ${out}/${MFN_SCHEMA_NAME}_json.h @ONLY)
    set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${path})
    target_include_directories(${target} PRIVATE ${out})
  endforeach()
endfunction()
