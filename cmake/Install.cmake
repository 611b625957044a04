# What 'cmake --install' installs: both kinds of library, the headers that strata.hpp includes, directly or not, those
# of the plain reference layers, and what find_package(strata) and pkg-config read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(headers)
file(GLOB references RELATIVE ${PROJECT_SOURCE_DIR} CONFIGURE_DEPENDS layers/reference/*.hpp)
set(found strata.hpp ${references})
while(found)
  list(POP_FRONT found header)
  list(APPEND headers ${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/${header})
  file(STRINGS ${PROJECT_SOURCE_DIR}/${header} includes REGEX "^#include \"strata/")
  foreach(include ${includes})
    string(REGEX REPLACE "^#include \"strata/(.*)\"$" "\\1" include ${include})
    if(NOT include IN_LIST headers AND NOT include IN_LIST found)
      list(APPEND found ${include})
    endif()
  endforeach()
endwhile()
foreach(header ${headers})
  cmake_path(GET header PARENT_PATH folder)
  install(FILES ${PROJECT_SOURCE_DIR}/${header} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/strata/${folder}
    COMPONENT development)
endforeach()

# A file of targets for each kind, for a program may have only one of them installed.
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/strata)
foreach(kind static shared)
  install(TARGETS strata_${kind} EXPORT strata-${kind}
    ARCHIVE COMPONENT development
    LIBRARY COMPONENT runtime NAMELINK_COMPONENT development
    INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(EXPORT strata-${kind} NAMESPACE strata:: DESTINATION ${package} COMPONENT development)
endforeach()
configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/strataConfig.cmake.in strataConfig.cmake
  INSTALL_DESTINATION ${package})
write_basic_package_version_file(strataConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/strataConfig.cmake ${CMAKE_CURRENT_BINARY_DIR}/strataConfigVersion.cmake
  ${PROJECT_SOURCE_DIR}/cmake/FindOpenBLASLibrary.cmake DESTINATION ${package} COMPONENT development)

file(RELATIVE_PATH up /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)  # an installed tree may be moved
configure_file(${PROJECT_SOURCE_DIR}/cmake/strata.pc.in strata.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/strata.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
