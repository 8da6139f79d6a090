# Builds a starter plugin as a stranger would, away from this tree, and looks at what it exports.
# Called with -DSDK= -DTEMPLATE=cpp|c -DWORK=.
file(REMOVE_RECURSE ${WORK})
file(COPY ${SDK}/template/${TEMPLATE}/ DESTINATION ${WORK}/source)
foreach(step "-S;${WORK}/source;-B;${WORK}/build;-DMFN_SDK_DIR=${SDK}" "--build;${WORK}/build")
  execute_process(COMMAND ${CMAKE_COMMAND} ${step} RESULT_VARIABLE code OUTPUT_VARIABLE out
    ERROR_VARIABLE out)
  if(code)
    message(FATAL_ERROR "cmake ${step} failed:\n${out}")
  endif()
endforeach()
include(${CMAKE_CURRENT_LIST_DIR}/exports.cmake)
mfn_check_exports(${WORK}/build/mfn-starter.so)
file(REMOVE_RECURSE ${WORK})
