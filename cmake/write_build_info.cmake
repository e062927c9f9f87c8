# cmake -D SOURCE_DIR=… -D OUTPUT=… -D VERSION=… [-D …] -P write_build_info.cmake
# Writes OUTPUT out of harness/build_info_values.h.in. It runs at every build, since a commit does not
# make CMake run again; an unchanged file keeps its time, so nothing is rebuilt for it.
set(COMMIT unknown)
set(DIRTY false)
find_program(GIT git)
if(GIT)
  execute_process(COMMAND ${GIT} rev-parse --show-toplevel HEAD WORKING_DIRECTORY ${SOURCE_DIR}
                  OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
  string(REPLACE "\n" ";" answer "${answer}")
  file(REAL_PATH ${SOURCE_DIR} source_dir)
  # An unpacked archive inside another project's checkout must not take that one's commit.
  if(NOT failed AND answer MATCHES "^(.*);([0-9a-f]+)$" AND CMAKE_MATCH_1 STREQUAL source_dir)
    set(COMMIT ${CMAKE_MATCH_2})
    execute_process(COMMAND ${GIT} --no-optional-locks status --porcelain --untracked-files=no
                    WORKING_DIRECTORY ${SOURCE_DIR} OUTPUT_VARIABLE changes ERROR_QUIET)
    if(changes)
      set(DIRTY true)
    endif()
  endif()
endif()
foreach(value VERSION BUILD_TYPE COMPILER COMPILER_FLAGS TORCH_VERSION SANITIZERS)
  string(REGEX REPLACE "([\\\\\"])" "\\\\\\1" ${value} "${${value}}")
endforeach()
configure_file(${SOURCE_DIR}/harness/build_info_values.h.in ${OUTPUT} @ONLY)
