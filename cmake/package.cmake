# What others get: kvproof::engine in a build tree or installed, and the program with its build's description.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(engine_targets kvproof_flags kvproof_engine kvproof_engine_checkpoint kvproof_engine_tokenizer kvproof_engine_kernels
                   kvproof_engine_model kvproof_engine_generate)
add_library(kvproof_engine_all INTERFACE)
target_link_libraries(kvproof_engine_all INTERFACE ${engine_targets})
add_library(kvproof::engine ALIAS kvproof_engine_all)

# --- build info: refreshed at each build
string(TOUPPER "${CMAKE_BUILD_TYPE}" build_type)
string(STRIP "${CMAKE_CXX_FLAGS} ${CMAKE_CXX_FLAGS_${build_type}}" compiler_flags)
string(REGEX MATCH "-fsanitize=([a-z,]+)" sanitizers "${compiler_flags}")
set(sanitizers ${CMAKE_MATCH_1})
set(build_info ${PROJECT_BINARY_DIR}/generated/harness/build_info_values.h)
add_custom_target(kvproof_build_info BYPRODUCTS ${build_info} VERBATIM COMMENT "Describing this build"
  COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR} -D OUTPUT=${build_info} -D VERSION=${PROJECT_VERSION}
          -D BUILD_TYPE=${CMAKE_BUILD_TYPE} "-DCOMPILER=${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}"
          "-DCOMPILER_FLAGS=${compiler_flags}" -D TORCH_VERSION=${Torch_VERSION} "-DSANITIZERS=${sanitizers}"
          -P ${PROJECT_SOURCE_DIR}/cmake/write_build_info.cmake)
add_dependencies(kvproof_harness kvproof_build_info)
target_include_directories(kvproof_harness PRIVATE ${PROJECT_BINARY_DIR}/generated)
set_source_files_properties(harness/build_info.cc PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)  # recompiled at each commit

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()

# --- install: component "engine" for other projects, component "program" to run
set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/kvproof)
foreach(target ${engine_targets})
  string(REPLACE kvproof_ "" name ${target})
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
endforeach()
# The exported kvproof::engine is all of it; the library of the directory engine/ itself takes another name.
set_target_properties(kvproof_engine PROPERTIES EXPORT_NAME engine_error)
set_target_properties(kvproof_engine_all PROPERTIES EXPORT_NAME engine)
install(TARGETS ${engine_targets} kvproof_engine_all EXPORT kvproofTargets COMPONENT engine
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(DIRECTORY engine DESTINATION include/kvproof COMPONENT engine FILES_MATCHING PATTERN "*.h")
install(EXPORT kvproofTargets NAMESPACE kvproof:: DESTINATION ${package_dir} COMPONENT engine)
configure_package_config_file(cmake/kvproofConfig.cmake.in kvproofConfig.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(kvproofConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/kvproofConfig.cmake ${PROJECT_BINARY_DIR}/kvproofConfigVersion.cmake
        DESTINATION ${package_dir} COMPONENT engine)
if(TARGET kvproof)
  # An installed program finds LibTorch where this build found it.
  set_target_properties(kvproof PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
  install(TARGETS kvproof COMPONENT program)
endif()

# --- the tests that are no Catch2 binaries
if(KVPROOF_TESTS)
  # The same code on accelerators: skipped by name where there is none.
  add_executable(tests_device tests/device/main.cc)
  target_link_libraries(tests_device PRIVATE kvproof_engine_generate)
  target_compile_definitions(tests_device PRIVATE KVPROOF_SOURCE_DIR="${PROJECT_SOURCE_DIR}")
  foreach(device cuda mps)
    add_test(NAME tests/device/${device} COMMAND tests_device ${device})
    set_tests_properties(tests/device/${device} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 600)
  endforeach()

  # The golden files are what Python wrote.
  find_program(SHA256SUM NAMES sha256sum gsha256sum)
  if(SHA256SUM)
    foreach(folder tests/golden harness/verify/vectors/generations)
      add_test(NAME ${folder}/digests COMMAND ${SHA256SUM} --check --quiet digests.txt
               WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}/${folder})
    endforeach()
  endif()

  # A ten-line project that uses the installed package.
  add_test(NAME tests/consumer
    COMMAND ${CMAKE_COMMAND} -D SOURCE_DIR=${PROJECT_SOURCE_DIR}/tests/consumer -D BUILD_DIR=${PROJECT_BINARY_DIR}
            -D GENERATOR=${CMAKE_GENERATOR} -D COMPILER=${CMAKE_CXX_COMPILER} "-DFLAGS=${CMAKE_CXX_FLAGS}"
            -P ${PROJECT_SOURCE_DIR}/tests/consumer/run.cmake)
  set_tests_properties(tests/consumer PROPERTIES TIMEOUT 600)

  # Tests against other people's programs: named in every run, run by `make test-consumers`.
  file(GLOB scripts CONFIGURE_DEPENDS tests/consumers/*.py tests/consumers/*.sh)
  foreach(script ${scripts})
    file(RELATIVE_PATH name ${PROJECT_SOURCE_DIR} ${script})
    add_test(NAME ${name} COMMAND ${PROJECT_SOURCE_DIR}/.ci/test-consumers ${name}
             WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 1200 LABELS consumers
                         ENVIRONMENT "KVPROOF=${PROJECT_BINARY_DIR}/kvproof")
  endforeach()
endif()
