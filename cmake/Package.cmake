# What cpack makes of an installation: Debian packages of the library, of what a program is built with, and of the
# programs in examples/.
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR Strata)
set(CPACK_PACKAGE_CONTACT "Strata developers <strata@localhost>")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_COMPONENTS_ALL runtime development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)

set(CPACK_DEBIAN_RUNTIME_PACKAGE_NAME libstrata0)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_RUNTIME_PACKAGE_GENERATE_SHLIBS ON)
set(CPACK_DEBIAN_RUNTIME_DESCRIPTION "${PROJECT_DESCRIPTION}, shared library
 Layers with explicit forward and backward, training, and fast inference.")

set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libstrata-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libstrata0 (= ${PROJECT_VERSION}), libxtensor-dev, libopenblas-dev, libtbb-dev, zlib1g-dev")
set(CPACK_DEBIAN_DEVELOPMENT_DESCRIPTION "${PROJECT_DESCRIPTION}, development files
 Headers, static library, and files for CMake and pkg-config.")

if(STRATA_BUILD_EXAMPLES)
  list(APPEND CPACK_COMPONENTS_ALL tools)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_NAME strata-tools)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_SECTION science)
  set(CPACK_DEBIAN_TOOLS_PACKAGE_SHLIBDEPS ON)
  set(CPACK_DEBIAN_TOOLS_DESCRIPTION "${PROJECT_DESCRIPTION}, programs
 Trains networks on Fashion-MNIST, CIFAR-10 and drawn shapes, and checks the
 gradients of all layers.")
endif()

# Policy wants a copyright file and a changelog of each.
file(READ ${PROJECT_SOURCE_DIR}/CHANGELOG.md changes)
set(package_files ${CMAKE_CURRENT_BINARY_DIR}/package)
file(WRITE ${package_files}/changelog "${changes}")
find_program(GZIP gzip REQUIRED)
execute_process(COMMAND ${GZIP} -9nf ${package_files}/changelog COMMAND_ERROR_IS_FATAL ANY)
foreach(component ${CPACK_COMPONENTS_ALL})
  string(TOUPPER ${component} upper)
  set(folder share/doc/${CPACK_DEBIAN_${upper}_PACKAGE_NAME})
  install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION ${folder} RENAME copyright COMPONENT ${component}
    EXCLUDE_FROM_ALL)
  install(FILES ${package_files}/changelog.gz DESTINATION ${folder} COMPONENT ${component} EXCLUDE_FROM_ALL)
endforeach()
include(CPack)
