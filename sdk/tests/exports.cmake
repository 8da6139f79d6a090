# A plugin exports its entry point and nothing else. Alone: cmake -DPLUGIN=x.so -P exports.cmake
function(mfn_check_exports plugin)
  execute_process(COMMAND nm -D --defined-only ${plugin} RESULT_VARIABLE code OUTPUT_VARIABLE out
    ERROR_VARIABLE error)
  if(code)
    message(FATAL_ERROR "nm ${plugin}: ${error}")
  endif()
  string(REGEX REPLACE "[0-9a-f]+ [A-Za-z] ([^\n]*)\n" "\\1;" names "${out}")
  list(REMOVE_ITEM names "")
  if(NOT names STREQUAL "mfn_plugin_entry_v1")
    message(FATAL_ERROR "${plugin} must export mfn_plugin_entry_v1 only, not: ${names}")
  endif()
endfunction()

if(PLUGIN)
  mfn_check_exports(${PLUGIN})
endif()
