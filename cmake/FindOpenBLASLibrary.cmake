# Finds OpenBLAS itself, never the reference BLAS, which is some thirty times slower. Defines OpenBLAS::OpenBLAS.
find_library(OpenBLAS_LIBRARY NAMES openblas)
find_path(OpenBLAS_INCLUDE_DIR NAMES openblas_config.h PATH_SUFFIXES openblas openblas-pthread)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OpenBLASLibrary
  REQUIRED_VARS OpenBLAS_LIBRARY OpenBLAS_INCLUDE_DIR
  REASON_FAILURE_MESSAGE "Install OpenBLAS (Debian: libopenblas-dev). No other BLAS will do.")
if(OpenBLASLibrary_FOUND AND NOT TARGET OpenBLAS::OpenBLAS)
  message(STATUS "BLAS: OpenBLAS at ${OpenBLAS_LIBRARY}")
  add_library(OpenBLAS::OpenBLAS UNKNOWN IMPORTED)
  set_target_properties(OpenBLAS::OpenBLAS PROPERTIES IMPORTED_LOCATION ${OpenBLAS_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${OpenBLAS_INCLUDE_DIR})
endif()
mark_as_advanced(OpenBLAS_LIBRARY OpenBLAS_INCLUDE_DIR)
